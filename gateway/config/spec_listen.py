"""The keys under `limits`: what clients may take of the gateway."""

from gateway.config.shapes import Count, WordOr, Words
from gateway.config.tables import Key, Settings, Table
from gateway.config.units import POSITIVE_DURATION, SIZE
from gateway.config.words import OTHER_WORDS

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
