"""From the keys under `limits` and `listen` to what the edge goes by."""

from pathlib import Path
from typing import TypeVar

from gateway.config import spec_listen as spec
from gateway.config.findings import Findings
from gateway.config.tables import Key, Settings
from gateway.edge import tls
from gateway.edge.snapshot import CertificateFiles, Limits, Listening, TlsRules
from gateway.errors import ConfigurationError

T = TypeVar("T")


def limits(table: Settings | None, findings: Findings) -> Limits:
    """Return the limits that *table* sets; what it doesn't say is as usual."""
    standard = Limits()
    most = _or(table, spec.CONNECTIONS_PER_CLIENT, spec.OFF)
    rate = _or(table, spec.MIN_RATE, standard.min_rate)
    found = Limits(
        head_bytes=_or(table, spec.HEAD, standard.head_bytes),
        target_bytes=_or(table, spec.TARGET, standard.target_bytes),
        field_count=_or(table, spec.FIELDS, standard.field_count),
        head_timeout=_or(table, spec.HEAD_TIMEOUT, standard.head_timeout),
        idle_timeout=_or(table, spec.IDLE_TIMEOUT, standard.idle_timeout),
        send_timeout=_or(table, spec.SEND_TIMEOUT, standard.send_timeout),
        min_rate=0 if isinstance(rate, str) else rate,
        body_bytes=_or(table, spec.BODY, standard.body_bytes),
        connections=_or(table, spec.CONNECTIONS, standard.connections),
        connections_per_client=None if isinstance(most, str) else most,
        requests=_or(table, spec.REQUESTS, standard.requests),
    )
    if table is not None and found.target_bytes > found.head_bytes:
        findings.error(
            table.place_of(spec.TARGET if spec.TARGET.name in table.values else spec.HEAD),
            "limits.target is larger than limits.head, which contains it",
            f"at most {spec.HEAD.shape.show(found.head_bytes)}",
        )
    return found


def listening(table: Settings | None, folder: Path, findings: Findings) -> Listening:
    """Return how clients come in; *folder* is where the rules lie."""
    if table is None:
        return Listening()
    trusted = tuple(network.value for network in table.get(spec.TRUSTED_PROXIES) or ())
    announced = table.get(spec.PROXY_PROTOCOL) is True
    if announced and not trusted:
        findings.error(
            table.place_of(spec.PROXY_PROTOCOL),
            "listen.proxy_protocol: whose PROXY headers are to be believed?",
            "name the load balancer's network under listen.trusted_proxies",
        )
    return Listening(
        trusted=trusted,
        proxy_protocol=announced,
        tls=_tls(table.get(spec.TLS), folder, findings),
        hsts=_hsts(table.get(spec.HSTS), findings),
    )


def _tls(table: Settings | None, folder: Path, findings: Findings) -> TlsRules | None:
    address = None if table is None else table.get(spec.TLS_ADDRESS)
    if table is None or address is None:
        return None
    written = table.get(spec.CERTIFICATES) or ()
    certificates = tuple(
        CertificateFiles(
            _path(each.value, spec.CERTIFICATE, folder),
            _path(each.value, spec.CERTIFICATE_KEY, folder),
        )
        for each in written
    )
    found = TlsRules(
        host=address[0],
        port=address[1],
        certificates=certificates,
        min_version=table.get(spec.MIN_VERSION) or "1.2",
        http2=table.get(spec.HTTP2) is not False,
    )
    for each, files in zip(written, certificates, strict=True):
        if len(each.value.values) < 2:
            continue
        try:
            tls.load(files, found)
        except ConfigurationError as error:
            findings.error(each.place, f"listen.tls.certificates: {error}")
    return found if certificates else None


def _path(table: Settings, key: Key[str], folder: Path) -> str:
    written = table.get(key)
    return "" if written is None else str(folder / written)


def _hsts(table: Settings | None, findings: Findings) -> bytes:
    max_age = None if table is None else table.get(spec.HSTS_MAX_AGE)
    if table is None or max_age is None:
        return b""
    value = b"max-age=%d" % max_age
    subdomains = table.get(spec.HSTS_SUBDOMAINS) is True
    if subdomains:
        value += b"; includeSubDomains"
    if table.get(spec.HSTS_PRELOAD) is True:
        if not subdomains or max_age < 365 * 86400:
            findings.error(
                table.place_of(spec.HSTS_PRELOAD),
                "listen.hsts.preload: browsers take only what holds for a year and all subdomains",
                "set max_age: 1y and subdomains: true",
            )
        value += b"; preload"
    return value


def _or(table: Settings | None, key: Key[T], otherwise: T) -> T:
    """Return what *table* says under *key*, or *otherwise* when it is silent."""
    found = None if table is None else table.get(key)
    return otherwise if found is None else found
