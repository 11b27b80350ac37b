"""The keys under `tests`: requests with what the rules must make of them."""

from gateway.config.shapes import Count, Flag, Matching, TextOr, WordOr, Words
from gateway.config.tables import Key, ListOf, MapOf, Settings, Table
from gateway.config.units import DURATION
from gateway.config.words import HEADER_NAME, HEADER_VALUE, NAME, OTHER_WORDS
from gateway.policy.rules import Scope

_WHO = Matching("a name", r"[^\s\x00-\x1f\x7f]{1,256}")
USER = Key("user", _WHO, "A user, by any name.")
ORG = Key("org", _WHO, "A proven organisation.")
_IDENTITY = Table(USER, ORG, other_words=OTHER_WORDS)

REQUEST = Key(
    "request",
    Matching("a method and a path, such as GET /blog/a", r"[A-Z][A-Z\-]* \S+"),
    "A method and a path, perhaps with a query.",
    required=True,
)
HEADERS = Key(
    "headers",
    MapOf(HEADER_NAME, HEADER_VALUE, "field names with values", any_case=True),
    "Header fields; host too.",
)
AS: Key[Settings] = Key("as", _IDENTITY, "Who asks; nobody in particular when left out.")
STATUS = Key("status", Count(200, 599), "The status of the answer.", default="200")
RESPONSE: Key[Settings] = Key(
    "response",
    Table(STATUS, HEADERS, other_words=OTHER_WORDS),
    "What the origin answers; 200 without a word about caching when left out.",
)
ROUTE = Key("route", NAME, "The name of the route.")
STORED = Key("stored", Flag(), "Whether the answer is kept.")
TTL = Key("ttl", DURATION, "How long the answer is fresh.")
BROWSER_TTL = Key(
    "browser_ttl", WordOr(Words("none"), DURATION), "The max-age that the client is told."
)
SCOPE = Key(
    "scope", Words(Scope.PUBLIC.value, Scope.ORG.value, Scope.USER.value), "Who may share it."
)
ORIGIN = Key("origin", NAME, "The origin that is asked.")
EXPECT: Key[Settings] = Key(
    "expect",
    Table(ROUTE, STORED, TTL, BROWSER_TTL, SCOPE, ORIGIN, STATUS, other_words=OTHER_WORDS),
    "What must come out.",
)
_OTHER_REQUEST: TextOr[str, Settings] = TextOr(REQUEST.shape, _IDENTITY)  # type: ignore[arg-type]
SHARED_WITH = Key(
    "shared_with",
    _OTHER_REQUEST,
    "Somebody else, or another request by the same, that gets the same stored answer.",
)
NOT_SHARED_WITH = Key("not_shared_with", _OTHER_REQUEST, "...and that must not get it.")
TEST_TABLE = Table(
    REQUEST, HEADERS, AS, RESPONSE, EXPECT, SHARED_WITH, NOT_SHARED_WITH, other_words=OTHER_WORDS
)
TESTS = Key(
    "tests",
    ListOf(TEST_TABLE, "a list of tests", brackets=True),
    "Requests with what the rules must make of them; `gateway check` runs them.",
)
