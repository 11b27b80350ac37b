"""Every key of the rules, declared once.

The loader, the JSON Schema and the commands follow from these declarations; the manual,
docs/configuration.md, is checked against them. A key that isn't here is an error.
"""

from gateway.config import spec_routes as routing
from gateway.config.shapes import Flag, Matching, Parsed, TextOr, WordOr, Words
from gateway.config.spec_delivery import COMPRESS, HINTS
from gateway.config.spec_images import IMAGES
from gateway.config.spec_limits import LIMIT
from gateway.config.spec_listen import LIMITS, LISTEN
from gateway.config.spec_origins import ORIGINS
from gateway.config.spec_routes import ACCESS, MATCH, REQUEST_HEADERS, RESPONSE_HEADERS
from gateway.config.spec_tests import TESTS
from gateway.config.spec_tiers import TIERS, WARM
from gateway.config.spec_writes import INVALIDATE, INVALIDATE_FROM
from gateway.config.tables import Key, ListOf, MapOf, Settings, Table
from gateway.config.units import DURATION, PERCENT, POSITIVE_DURATION
from gateway.config.words import COOKIE_NAME, GROUP, HEADER_NAME, MEDIA_TYPE, NAME, OTHER_WORDS
from gateway.policy.rules import Scope

# identity ---------------------------------------------------------------------------------

USER_COOKIE = Key("cookie", COOKIE_NAME, "The session cookie.", required=True)
USER_TABLE = Table(USER_COOKIE)
ORG_CLAIM = Key(
    "jwt_claim",
    Matching("the name of a claim", r"[^\s]{1,128}"),
    "The claim of the token that names the organisation.",
    required=True,
)
ORG_COOKIE = Key("cookie", COOKIE_NAME, "The cookie that carries the token.", required=True)
ORG_KEYS = Key(
    "keys",
    Parsed("a JSON Web Key Set, or the path of one", str),
    "The public keys that tokens are checked with: a JSON Web Key Set, or the path of a file "
    "with one, relative to the rules; empty switches organisations off.",
    required=True,
)
_UNPROVEN = "any client can set a header; use jwt_claim and cookie"
ORG_TABLE = Table(
    ORG_CLAIM, ORG_COOKIE, ORG_KEYS, refused={"header": _UNPROVEN, "trusted_hop": _UNPROVEN}
)
USER: Key[Settings] = Key("user", USER_TABLE, "How a user is known.")
ORG: Key[Settings] = Key("org", ORG_TABLE, "How an organisation is proven.")
IDENTITY: Key[Settings] = Key(
    "identity", Table(USER, ORG), "Who is asking; verified before the cache is asked."
)

# cache ------------------------------------------------------------------------------------

TTL = Key(
    "ttl",
    WordOr(Words("origin"), DURATION),
    "How long a response is fresh: the origin's word (origin), or a duration in its place.",
    default="origin",
)
STALE_WHILE_REVALIDATE = Key(
    "stale_while_revalidate",
    DURATION,
    "How long after its ttl a response is still sent at once, while it is refreshed behind the "
    "client's back; takes the place of the origin's word.",
)
FOR = Key("for", DURATION, "How long after its ttl a response may answer.", required=True)
AFTER = Key(
    "after",
    POSITIVE_DURATION,
    "An origin that is silent for this long counts as failing, when something stale is at hand.",
)
_SHORT_OR_IN_FULL: TextOr[float, Settings] = TextOr(DURATION, Table(FOR, AFTER))
STALE_IF_ERROR = Key(
    "stale_if_error",
    _SHORT_OR_IN_FULL,
    "How long after its ttl a response may answer in place of an error: 500, 502, 503, 504, or "
    "no answer; never of 401, 403 and 429. A duration alone is its `for`.",
)
STALE_IF_GONE = Key(
    "stale_if_gone",
    DURATION,
    "How long after its ttl a response may answer in place of 404 and 410, such as a file of the "
    "last release that open pages still ask for.",
)
FRACTION = Key("fraction", PERCENT, "The share of the time since Last-Modified.", default="10%")
MOST = Key("most", POSITIVE_DURATION, "The longest guess.", default="1h")
HEURISTIC = Key(
    "heuristic",
    WordOr(Words("off"), Table(FRACTION, MOST)),
    "Guess how long a response is fresh that says only when it last changed.",
    default="off",
)
JITTER = Key(
    "jitter",
    PERCENT,
    "Shorten each ttl by chance, up to this share, so that not everything expires at once.",
    default="0%",
)
EARLY_REFRESH = Key(
    "early_refresh",
    Flag(),
    "Refresh what is asked for often shortly before it expires, by lot.",
    default="false",
)
WHOLE_FOR_RANGE = Key(
    "whole_for_range",
    Flag(),
    "Fetch and keep the whole when a range is asked for and nothing is stored.",
    default="false",
)
CONTENT_TYPES = Key(
    "content_type",
    ListOf(MEDIA_TYPE, "media types, with * for any characters"),
    "The only media types that are kept: whoever makes a private page look like a picture, by a "
    "path such as /account/x.png, gets nothing stored.",
)
BROWSER_TTL = Key("browser_ttl", DURATION, "The max-age that browsers are told.")
IMMUTABLE = Key(
    "immutable", Flag(), "Tell browsers that the response never changes.", default="false"
)
_SCOPE_WORDS = {
    **dict.fromkeys(("organisation", "organization", "tenant", "team", "account"), "org"),
    **dict.fromkeys(("private", "session", "personal"), "user"),
    **dict.fromkeys(("shared", "everybody", "everyone", "all", "global"), "public"),
}
SCOPE = Key(
    "scope",
    Words(Scope.PUBLIC.value, Scope.ORG.value, Scope.USER.value, other_words=_SCOPE_WORDS),
    "Who may share a response: everybody (public), an organisation (org), one user (user).",
    default="user",
)
STATUS_TTL = Key(
    "status_ttl",
    MapOf(
        Matching("a status from 300 to 599 other than 304", r"(?!304)[345][0-9][0-9]"),
        DURATION,
        "statuses with durations, such as {404: 10s}",
    ),
    "How long a response with this status is fresh; errors take theirs from here alone.",
)
_PARAMETERS = ListOf(
    Matching("a parameter name, with * for any characters", r"[^\s&=#]{1,256}"),
    "parameter names, with * for any characters",
)
SORT = Key("sort", Flag(), "Order parameters by name.", default="false")
IGNORE = Key("ignore", _PARAMETERS, "Parameters left out of the key.")
ONLY = Key("only", _PARAMETERS, "The only parameters in the key.")
QUERY: Key[Settings] = Key(
    "query", Table(SORT, IGNORE, ONLY, other_words=OTHER_WORDS), "What of the query counts."
)
KEY_HEADERS = Key(
    "headers",
    ListOf(HEADER_NAME, "field names"),
    "Request header fields whose values tell responses apart.",
)
KEY_COOKIES = Key(
    "cookies",
    ListOf(COOKIE_NAME, "cookie names"),
    "Cookies whose values tell responses apart; on a public route the origin gets these alone.",
)
KEY: Key[Settings] = Key(
    "key",
    Table(QUERY, KEY_HEADERS, KEY_COOKIES, other_words=OTHER_WORDS),
    "What tells one response from another.",
)
GROUPS = Key(
    "groups",
    ListOf(GROUP, "groups such as org:{org}"),
    "Groups that responses are in, and are invalidated with: {org}, {user}, {route}, {host} and "
    "{path} are filled in; a group whose field isn't known is left out.",
)
OVERRIDE = Key(
    "override",
    ListOf(
        Words("no-store", "private", "set-cookie", other_words={"no_store": "no-store"}),
        "no-store, private or set-cookie",
    ),
    "Keep responses in spite of these; needs because.",
)
BECAUSE = Key(
    "because",
    Matching("a reason, for whoever reads this next", r"[\s\S]{8,500}"),
    "Why an override is right.",
)
VARY = Key(
    "vary",
    MapOf(
        HEADER_NAME, Words("exact", "normalize", "bypass"), "fields with what to do", any_case=True
    ),
    "What to do about a field that the origin varies on: keep a response for each value (exact), "
    "for each meaning (normalize), or keep none (bypass).",
)
CACHE_TABLE = Table(
    TTL,
    STALE_WHILE_REVALIDATE,
    STALE_IF_ERROR,
    STALE_IF_GONE,
    STATUS_TTL,
    BROWSER_TTL,
    IMMUTABLE,
    SCOPE,
    KEY,
    HEURISTIC,
    JITTER,
    EARLY_REFRESH,
    WHOLE_FOR_RANGE,
    CONTENT_TYPES,
    GROUPS,
    VARY,
    OVERRIDE,
    BECAUSE,
    other_words=OTHER_WORDS,
)
OFF = "off"
CACHE = Key(
    "cache",
    WordOr(Words(OFF, other_spellings={"false": OFF, "never": OFF}), CACHE_TABLE),
    "Whether and how responses are kept; off keeps none and wins wherever it stands.",
)

# routes -----------------------------------------------------------------------------------

ROUTE_ORIGIN = Key("origin", NAME, "The origin that answers.")
DEFAULTS: Key[Settings] = Key(
    "defaults",
    Table(
        ROUTE_ORIGIN,
        CACHE,
        REQUEST_HEADERS,
        RESPONSE_HEADERS,
        ACCESS,
        routing.MAX_BODY,
        COMPRESS,
        IMAGES,
        HINTS,
        LIMIT,
        routing.CDN,
        other_words=OTHER_WORDS,
    ),
    "What every route inherits, key by key.",
)
ROUTE_NAME = Key("name", NAME, "The route in metrics and logs; unique.")
PROTOCOL = Key(
    "protocol",
    Words("trpc"),
    "What the route speaks: with trpc, a batch (`?batch=1`) is as public as its most private "
    "member and lives as short as its shortest.",
)
ROUTE_TABLE = Table(
    ROUTE_NAME,
    MATCH,
    routing.EXCEPT,
    ROUTE_ORIGIN,
    PROTOCOL,
    CACHE,
    routing.RESPOND,
    routing.REDIRECT,
    routing.REWRITE,
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
    ACCESS,
    routing.MAX_BODY,
    routing.TIMEOUTS,
    LIMIT,
    COMPRESS,
    IMAGES,
    HINTS,
    routing.CDN,
    routing.PURGE,
    other_words=OTHER_WORDS,
    one_of=(routing.RESPOND.name, routing.REDIRECT.name, routing.REWRITE.name),
)
ROUTES = Key(
    "routes",
    ListOf(ROUTE_TABLE, "a list of routes", brackets=True),
    "The first that matches wins; without this key everything is proxied as the origin says.",
)

INCLUDE = Key(
    "include",
    ListOf(
        Matching("the path of a file", r"[^\x00-\x1f\x7f]{1,512}"),
        "the path of a file, or a list of them",
    ),
    "Further files, relative to this one, with `routes`, `tests` and `include` alone; their "
    "routes come after this file's, in the order of this list.",
)
VERSION = Key("version", Words("1"), "The version of this language.", required=True)
ROOT = Table(
    VERSION,
    INCLUDE,
    IDENTITY,
    LISTEN,
    ORIGINS,
    TIERS,
    LIMITS,
    DEFAULTS,
    ROUTES,
    INVALIDATE,
    INVALIDATE_FROM,
    WARM,
    TESTS,
    title="Rules of the caching gateway",
    other_words=OTHER_WORDS,
)
_ONCE = "it stands once, in the file that everything begins with"
INCLUDED = Table(
    INCLUDE,
    ROUTES,
    TESTS,
    other_words=OTHER_WORDS,
    refused={
        key.name: _ONCE for key in ROOT.keys if key.name not in ("include", "routes", "tests")
    },
)
"""What an included file may have."""
