"""The keys under `limit`: how often somebody may ask."""

from gateway.config.shapes import Count, Flag, TextOr, WordOr, Words
from gateway.config.tables import Key, ListOf, Setting, Settings, Table
from gateway.config.units import POSITIVE_DURATION
from gateway.config.words import HEADER_NAME, OTHER_WORDS

OFF = "off"
MOST_REQUESTS = 1_000_000
REQUESTS = Key(
    "requests", Count(1, MOST_REQUESTS), "How many requests somebody may make.", required=True
)
PER = Key("per", POSITIVE_DURATION, "In what time; the allowance comes back evenly.", default="1s")
BURST = Key(
    "burst",
    Count(1, MOST_REQUESTS),
    "How many of them may come at once, when none came for a while. Default: as many as requests.",
)
BY_HEADER = Key("header", HEADER_NAME, "Whoever sends the same value.", required=True)
_BY: TextOr[str, Settings] = TextOr(
    Words(
        "address",
        "user",
        "org",
        "everybody",
        other_words={
            "ip": "address",
            "client_ip": "address",
            "remote_addr": "address",
            "identity": "user",
            "session": "user",
            "tenant": "org",
            "all": "everybody",
            "global": "everybody",
        },
    ),
    Table(BY_HEADER, other_words=OTHER_WORDS),
)
BY = Key(
    "by",
    _BY,
    "Whose requests are counted together: a client's address (for IPv6 its /64), a verified user "
    "or organisation, a header field's value, or everybody's. Who has no such thing is counted by "
    "address.",
    default="address",
)
SHARED = Key(
    "shared",
    Flag(),
    "Whether replicas count together, where there is a redis tier; the workers of one gateway "
    "always do.",
    default="true",
)
_ONE = Table(REQUESTS, PER, BURST, BY, SHARED, other_words={**OTHER_WORDS, "interval": "per"})
LIMIT: Key[tuple[Setting[Settings], ...] | str] = Key(
    "limit",
    WordOr(
        Words(OFF, other_spellings={"false": OFF}),
        ListOf(_ONE, "requests and per, or a list of such limits"),
    ),
    "How often somebody may ask; who asks more often gets 429. Of several limits each has to be "
    "kept. A route's own take the place of those of defaults, which count what all routes "
    "without own ones get together; off is none.",
)
