"""The keys under `origins`: where requests go, over which endpoints, and how patiently."""

from gateway.config.shapes import Count, Flag, Matching, TextOr, WordOr, Words
from gateway.config.tables import Key, ListOf, MapOf, Settings, Table
from gateway.config.units import DURATION, HOST, PERCENT, POSITIVE_DURATION, SERVER
from gateway.config.words import METHOD, NAME, OTHER_WORDS
from gateway.origin.settings import Balance, Endpoint

SERVER_URL = Key("url", SERVER, "Where it listens.", required=True)
WEIGHT = Key("weight", Count(1, 1000), "Its share of the requests.", default="1")
_SERVER: TextOr[Endpoint, Settings] = TextOr(
    SERVER, Table(SERVER_URL, WEIGHT, other_words={"server": "url"})
)
SERVERS = Key(
    "servers",
    ListOf(_SERVER, "the URL of a server, or a list of them"),
    "Where the origin listens: http://host:port, https://host, or unix:/path; with a weight as "
    "{url: ..., weight: 2}.",
    required=True,
)
BALANCE = Key(
    "balance",
    Words(
        *(way.value for way in Balance),
        other_words={
            "roundrobin": "round_robin",
            "rr": "round_robin",
            "least_conn": "least_requests",
            "leastconn": "least_requests",
            "random": "p2c",
            "consistent_hash": "hash",
            "uri": "hash",
        },
    ),
    "Which server gets a request: each in turn (round_robin), the least busy (least_requests), "
    "the less busy of two picked by chance (p2c), the same for the same URL (hash).",
    default="least_requests",
)
HOST_SENT = Key(
    "host",
    WordOr(Words("preserve"), HOST),
    "The Host that the origin is sent: the client's (preserve), or a name.",
    default="preserve",
)
CONNECT = Key("connect", POSITIVE_DURATION, "Until a connection is open.", default="2s")
FIRST_BYTE = Key(
    "first_byte",
    POSITIVE_DURATION,
    "From the end of the request to the end of the response head.",
    default="10s",
)
BETWEEN_BYTES = Key(
    "between_bytes", POSITIVE_DURATION, "The longest silence inside a body.", default="1m"
)
TOTAL = Key(
    "total", POSITIVE_DURATION, "All attempts together, to the response head.", default="30s"
)
TIMEOUTS: Key[Settings] = Key(
    "timeouts",
    Table(CONNECT, FIRST_BYTE, BETWEEN_BYTES, TOTAL, other_words=OTHER_WORDS),
    "How long each phase of an exchange may take.",
)
MAX_CONNECTIONS = Key(
    "max", Count(1, 65535), "Connections of each worker to each server.", default="256"
)
MAX_WAITING = Key(
    "waiting",
    Count(0),
    "Requests of each worker that may queue for a connection; more get 503.",
    default="1024",
)
CONNECTIONS: Key[Settings] = Key(
    "connections",
    Table(MAX_CONNECTIONS, MAX_WAITING, other_words=OTHER_WORDS),
    "How many connections are opened.",
)
ATTEMPTS = Key(
    "attempts",
    Count(1, 10),
    "All together; 1 never tries again. 2 where there are several servers, else 1.",
)
BUDGET = Key("budget", PERCENT, "The share of requests that may be tried again.", default="20%")
RETRY_METHODS = Key(
    "methods",
    ListOf(METHOD, "a method such as GET, or a list of them"),
    "Methods that are tried again after they may have reached a server: [GET, HEAD] when left "
    "out. What reached none is tried again whatever its method.",
)
STATUSES = Key(
    "statuses",
    ListOf(Matching("a status from 500 to 599", r"5[0-9][0-9]"), "statuses such as 503"),
    "Answers that are tried again too; none when left out.",
)
RETRY: Key[Settings] = Key(
    "retry",
    Table(ATTEMPTS, BUDGET, RETRY_METHODS, STATUSES, other_words=OTHER_WORDS),
    "When a request is tried again, at another server if there is one; never after a byte of "
    "the response was sent on.",
)
CHECK_PATH = Key(
    "path", Matching("a path such as /healthz", r"/[\x21-\x7e]*"), "What is asked.", required=True
)
INTERVAL = Key("interval", POSITIVE_DURATION, "How often.", default="5s")
CHECK_TIMEOUT = Key("timeout", POSITIVE_DURATION, "How long the answer may take.", default="2s")
UNHEALTHY_AFTER = Key("unhealthy_after", Count(1, 100), "Failed checks in a row.", default="3")
HEALTHY_AFTER = Key("healthy_after", Count(1, 100), "Good checks in a row.", default="2")
HEALTH: Key[Settings] = Key(
    "health",
    Table(CHECK_PATH, INTERVAL, CHECK_TIMEOUT, UNHEALTHY_AFTER, HEALTHY_AFTER),
    "Ask each server whether it is well (2xx, 3xx); one that isn't gets no requests.",
)
EJECT_AFTER = Key("after", Count(1, 1000), "Failed requests in a row.", default="5")
EJECT_FOR = Key(
    "for", POSITIVE_DURATION, "How long; twice as long each time in a row.", default="10s"
)
LAST_TOO = Key(
    "last_too",
    Flag(),
    "Leave even the last server alone: requests are refused at once with 503 (a circuit "
    "breaker), or answered with something stale, until a trial succeeds.",
    default="false",
)
EJECT: Key[Settings] = Key(
    "eject",
    Table(EJECT_AFTER, EJECT_FOR, LAST_TOO),
    "Leave a server alone whose requests fail in a row; where there are several, this is so "
    "without saying it.",
)
SLOW_START = Key(
    "slow_start", DURATION, "Over how long a server that is back gets its full share.", default="0s"
)
VERIFY = Key("verify", Flag(), "Whether certificates must be good.", default="true")
TLS_NAME = Key(
    "name",
    Matching("a host name such as hub.example.com", r"[A-Za-z0-9_](?:[A-Za-z0-9.\-_]{0,252})"),
    "The name that certificates must have; the server's own when left out.",
)
CA = Key(
    "ca",
    Matching("the path of a PEM file", r"[^\x00-\x1f\x7f]{1,512}"),
    "Authorities to trust, relative to the rules; the system's when left out.",
)
TLS: Key[Settings] = Key("tls", Table(VERIFY, TLS_NAME, CA), "How https servers are verified.")
ORIGIN_TABLE = Table(
    SERVERS,
    BALANCE,
    HOST_SENT,
    TIMEOUTS,
    CONNECTIONS,
    RETRY,
    HEALTH,
    EJECT,
    SLOW_START,
    TLS,
    other_words=OTHER_WORDS,
)
ORIGINS = Key(
    "origins", MapOf(NAME, ORIGIN_TABLE, "origins by name"), "What the gateway stands before."
)
