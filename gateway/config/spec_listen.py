"""The keys under `limits` and `listen`: what clients may take, and how they come in."""

from gateway.config.shapes import Count, Flag, Matching, Parsed, Unfit, WordOr, Words
from gateway.config.spec_routes import NETWORKS
from gateway.config.tables import Key, ListOf, Settings, Table
from gateway.config.units import DURATION, POSITIVE_DURATION, SIZE
from gateway.config.words import OTHER_WORDS

# limits -----------------------------------------------------------------------------------

HEAD = Key("head", SIZE, "The largest request head.", default="32KB")
TARGET = Key("target", SIZE, "The longest path with its query.", default="8KB")
FIELDS = Key("fields", Count(1, 10_000), "The most field lines of a head.", default="100")
HEAD_TIMEOUT = Key(
    "head_timeout", POSITIVE_DURATION, "From the first byte of a head to its end.", default="10s"
)
IDLE_TIMEOUT = Key(
    "idle_timeout", POSITIVE_DURATION, "Between two requests of a connection.", default="1m"
)
SEND_TIMEOUT = Key(
    "send_timeout",
    POSITIVE_DURATION,
    "The longest time in which a client takes or sends nothing.",
    default="1m",
)
OFF = "off"
MIN_RATE = Key(
    "min_rate",
    WordOr(Words(OFF, other_spellings={"false": OFF}), SIZE),
    "How much a client has to send of a body, or take of an answer, in each second on average.",
    default="256B",
)
BODY = Key(
    "body",
    SIZE,
    "The longest body of a request, where no max_body says how long; a longer one gets 413.",
    default="100MB",
)
CONNECTIONS = Key(
    "connections",
    Count(1, 10_000_000),
    "Connections of each worker at a time; one more gets 503.",
    default="100000",
)
CONNECTIONS_PER_CLIENT = Key(
    "connections_per_client",
    WordOr(Words(OFF, other_spellings={"false": OFF}), Count(1, 10_000_000)),
    "Connections from one address (for IPv6 one /64) to each worker at a time; one more gets 429.",
    default=OFF,
)
REQUESTS = Key(
    "requests",
    Count(1, 10_000_000),
    "Requests that each worker answers at a time, apart from hits; one more gets 503.",
    default="20000",
)
LIMITS: Key[Settings] = Key(
    "limits",
    Table(
        HEAD,
        TARGET,
        FIELDS,
        BODY,
        HEAD_TIMEOUT,
        IDLE_TIMEOUT,
        SEND_TIMEOUT,
        MIN_RATE,
        CONNECTIONS,
        CONNECTIONS_PER_CLIENT,
        REQUESTS,
        other_words={
            **OTHER_WORDS,
            "max_connections": "connections",
            "connections_per_ip": "connections_per_client",
            "max_body": "body",
            "min_data_rate": "min_rate",
            "keepalive": "idle_timeout",
            "max_requests": "requests",
            "headers": "fields",
            "url": "target",
        },
    ),
    "What a client may ask of the gateway.",
)

# listen -----------------------------------------------------------------------------------


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or (":" in host) is not bracketed or not port.isdigit() or int(port) > 65535:
        raise Unfit(f'did you mean "0.0.0.0:{text}"?' if text.isdigit() else None)
    return host or "0.0.0.0", int(port)  # noqa: S104 - asked for by name


def _show(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_FILE = Matching("the path of a PEM file", r"[^\x00-\x1f\x7f]{1,512}")
TRUSTED_PROXIES = Key(
    "trusted_proxies",
    NETWORKS,
    "Networks of proxies in front of the gateway: the X-Forwarded-For and X-Forwarded-Proto of "
    "their requests count, nobody else's.",
)
PROXY_PROTOCOL = Key(
    "proxy_protocol",
    Flag(),
    "Whether connections from trusted_proxies begin with a PROXY header, version 1 or 2.",
    default="false",
)
TLS_ADDRESS = Key(
    "address",
    Parsed("HOST:PORT such as 0.0.0.0:8443", _address, r"[^\s]*:[0-9]{1,5}", _show),
    "Where https is spoken, besides plain HTTP at --listen.",
    required=True,
)
CERTIFICATE = Key(
    "certificate",
    _FILE,
    "The certificate and what vouches for it, relative to the rules.",
    required=True,
)
CERTIFICATE_KEY = Key("key", _FILE, "Its key, without a passphrase.", required=True)
CERTIFICATES = Key(
    "certificates",
    ListOf(
        Table(
            CERTIFICATE, CERTIFICATE_KEY, other_words={"cert": "certificate", "file": "certificate"}
        ),
        "certificates with their keys",
    ),
    "Which one a client gets follows from the name that it asks for (SNI); one that asks for "
    "none, or for another, gets the first. Changed files are used within two seconds.",
    required=True,
)
MIN_VERSION = Key("min_version", Words("1.2", "1.3"), "The oldest version of TLS.", default="1.2")
HTTP2 = Key("http2", Flag(), "Whether clients that can may speak HTTP/2.", default="true")
TLS: Key[Settings] = Key(
    "tls",
    Table(
        TLS_ADDRESS,
        CERTIFICATES,
        MIN_VERSION,
        HTTP2,
        other_words={**OTHER_WORDS, "listen": "address", "port": "address", "h2": "http2"},
    ),
    "Speak https to clients.",
)
HSTS_MAX_AGE = Key(
    "max_age", DURATION, "How long browsers come by https alone; 0s takes it back.", required=True
)
HSTS_SUBDOMAINS = Key("subdomains", Flag(), "Whether that goes for subdomains.", default="false")
HSTS_PRELOAD = Key("preload", Flag(), "Whether browsers may have it built in.", default="false")
HSTS: Key[Settings] = Key(
    "hsts",
    Table(
        HSTS_MAX_AGE,
        HSTS_SUBDOMAINS,
        HSTS_PRELOAD,
        other_words={**OTHER_WORDS, "include_subdomains": "subdomains"},
    ),
    "Tell browsers in answers by https to use nothing else (Strict-Transport-Security).",
)
LISTEN: Key[Settings] = Key(
    "listen",
    Table(
        TRUSTED_PROXIES,
        PROXY_PROTOCOL,
        TLS,
        HSTS,
        other_words={
            **OTHER_WORDS,
            "real_ip": "trusted_proxies",
            "set_real_ip_from": "trusted_proxies",
            "https": "tls",
            "ssl": "tls",
        },
    ),
    "How clients come in.",
)
