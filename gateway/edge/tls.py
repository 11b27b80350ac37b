"""TLS to clients: certificates by name, and new ones without a restart.

The rules name the files; each worker looks at them once a second and takes changed ones into
force for connections that begin from then on. Files that don't fit together, as when only
one of the two has been replaced so far, are left aside until they do.
"""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.edge.snapshot import CertificateFiles, TlsRules
from gateway.errors import ConfigurationError

_log = logging.getLogger(__name__)

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption, nothing else; 1.3 has its own."""
HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 5.0
_Marks = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Served:
    """One certificate, ready for use."""

    context: ssl.SSLContext
    names: tuple[str, ...]
    """In lower case; a first label may be a star."""


class Certificates:
    """The certificates in force in one worker."""

    def __init__(self, rules: TlsRules) -> None:
        """Raise ConfigurationError when a certificate of *rules* can't be used."""
        self._rules = rules
        self._marks = _marks(rules)
        self._complaint = ""
        self._served = tuple(load(files, rules) for files in rules.certificates)
        # What every handshake begins with; which certificate it goes on with shows then.
        self.context = _context(rules)
        first = rules.certificates[0]
        self.context.load_cert_chain(first.certificate, first.key)
        self.context.sni_callback = self._choose

    def _choose(
        self, handshake: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> None:
        """Go on with the certificate for *name* (called by OpenSSL in each handshake)."""
        handshake.context = self.find(name).context

    def find(self, name: str | None) -> Served:
        """Return the certificate for the host *name*; the first where none is for it."""
        if name is not None:
            lower = name.lower().rstrip(".")
            below = "*." + lower.partition(".")[2]
            for wanted in (lower, below):
                for served in self._served:
                    if wanted in served.names:
                        return served
        return self._served[0]

    def adopt(self, rules: TlsRules) -> None:
        """Go by *rules* from now on; raises ConfigurationError, and then everything stays."""
        served = tuple(load(files, rules) for files in rules.certificates)
        self._rules = rules
        self._served = served
        self._marks = _marks(rules)
        self.context.minimum_version = _minimum(rules)

    def refresh(self) -> bool:
        """Take certificates that changed on disk into force; return whether there were any."""
        marks = _marks(self._rules)
        if marks == self._marks:
            return False
        try:
            served = tuple(load(files, self._rules) for files in self._rules.certificates)
        except ConfigurationError as error:
            # Tried again every second: the other file may be about to follow.
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("changed certificates are not taken into force: %s", error)
            return False
        self._marks = marks
        self._complaint = ""
        self._served = served
        _log.info("changed certificates are in force")
        return True


def _marks(rules: TlsRules) -> _Marks:
    found = []
    for files in rules.certificates:
        for path in (files.certificate, files.key):
            try:
                status = Path(path).stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_ino, status.st_size))
    return tuple(found)


def load(files: CertificateFiles, rules: TlsRules) -> Served:
    """Return the certificate in *files* as *rules* want it served.

    Raises:
        ConfigurationError: a file can't be read, is no PEM, or they don't belong together.

    """
    context = _context(rules)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
        certificate = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
    except FileNotFoundError as error:
        missing = next(
            (each for each in (files.certificate, files.key) if not Path(each).exists()), ""
        )
        raise ConfigurationError(f"{missing} can't be read: there is no such file") from error
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{files.certificate} and {files.key} are no certificate with its key in PEM "
            f"({error.reason or error})"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{files.certificate} can't be used: {reason}") from error
    return Served(context, _names(certificate))


def _no_password() -> str:
    # Without this OpenSSL would ask at the terminal.
    raise ValueError("its key is encrypted; give one without a passphrase")


def _context(rules: TlsRules) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _minimum(rules)
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["h2", "http/1.1"] if rules.http2 else ["http/1.1"])
    return context


def _minimum(rules: TlsRules) -> ssl.TLSVersion:
    return ssl.TLSVersion.TLSv1_3 if rules.min_version == "1.3" else ssl.TLSVersion.TLSv1_2


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(each.value).lower() for each in common)
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
