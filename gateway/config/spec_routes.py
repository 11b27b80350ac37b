"""The keys of a route other than `cache`: which requests it takes, and what it does to them."""

from ipaddress import ip_network

from gateway.config.shapes import Count, Flag, Matching, Parsed, TextOr, Unfit, Words
from gateway.config.tables import Key, ListOf, MapOf, Settings, Table
from gateway.config.units import POSITIVE_DURATION, SIZE
from gateway.config.words import (
    CHANGED_HEADER,
    COOKIE_NAME,
    EXPRESSION,
    GLOB,
    HEADER_NAME,
    HEADER_VALUE,
    HOST_PATTERN,
    LOCATION,
    METHOD,
    OTHER_WORDS,
    PATH_TEMPLATE,
    TESTED_VALUE,
)
from gateway.routing.access import Network

# match ------------------------------------------------------------------------------------

_PATHS = ListOf(GLOB, "a path such as /blog/*, or a list of them")
_VALUES = ListOf(TESTED_VALUE, "a value, with * for any characters, or a list of them")
PATH = Key(
    "path",
    _PATHS,
    "Paths: /x/* is /x and everything below; a star inside a segment stays inside it.",
)
METHODS = Key(
    "method", ListOf(METHOD, "a method such as GET, or a list of them"), "Methods; GET takes HEAD."
)
HOST = Key(
    "host",
    ListOf(HOST_PATTERN, "a host such as hub.example.com, or a list of them"),
    "Hosts: a name on any port, a name with its port, or *.example.com for all below it.",
)
HEADER = Key(
    "header",
    MapOf(HEADER_NAME, _VALUES, "field names with values", any_case=True),
    "Request header fields; `present` is any value, `absent` is none.",
)
COOKIE = Key(
    "cookie", MapOf(COOKIE_NAME, _VALUES, "cookie names with values"), "Cookies, as for header."
)
QUERY = Key(
    "query",
    MapOf(Matching("a parameter name", r"[^\s&=#]{1,256}"), _VALUES, "parameter names with values"),
    "Parameters of the query, decoded, as for header.",
)
PATH_REGEX = Key(
    "path_regex",
    EXPRESSION,
    "An expression (RE2) that the whole path must match, besides path; the last resort.",
)
SCHEME = Key(
    "scheme",
    Words("http", "https", other_words={"tls": "https", "ssl": "https", "plain": "http"}),
    "How the client came: https to the gateway, or to a trusted proxy that says so.",
)
MATCH: Key[Settings] = Key(
    "match",
    Table(PATH, METHODS, HOST, SCHEME, HEADER, COOKIE, QUERY, PATH_REGEX, other_words=OTHER_WORDS),
    "The requests that the route takes: those that meet all of it.",
    required=True,
)
EXCEPT = Key(
    "except",
    _PATHS,
    "Paths that a route with `cache: off` leaves to the other routes.",
)

# answers ----------------------------------------------------------------------------------

RESPOND_STATUS = Key("status", Count(200, 599), "The status.", default="200")
BODY = Key("body", Matching("a text", r"[\s\S]{0,65536}"), "The body.")
CONTENT_TYPE = Key(
    "content_type",
    Matching("a media type", r"[A-Za-z0-9!#$&^_.+\-]+/[\x20-\x7e]{1,200}"),
    "The type of the body.",
    default="text/plain; charset=utf-8",
)
RESPOND: Key[Settings] = Key(
    "respond",
    Table(RESPOND_STATUS, BODY, CONTENT_TYPE, other_words=OTHER_WORDS),
    "Answer this, without the origin.",
)
TO = Key(
    "to",
    LOCATION,
    "A path or a URL; {path} is the whole path, {rest} what the star at the end stood for; or "
    "https, for the same host and path by https.",
    required=True,
)
REDIRECT_STATUS = Key(
    "status", Words("301", "302", "303", "307", "308"), "The status.", default="301"
)
QUERY_KEPT = Key("query", Words("keep", "drop"), "Whether the query goes along.", default="keep")
_REDIRECT: TextOr[str, Settings] = TextOr(
    LOCATION, Table(TO, REDIRECT_STATUS, QUERY_KEPT, other_words=OTHER_WORDS)
)
REDIRECT = Key("redirect", _REDIRECT, "Send clients elsewhere; a text alone is its `to`.")
REWRITE = Key(
    "rewrite",
    PATH_TEMPLATE,
    "The path that the origin is asked for; {path} and {rest} as in redirect.",
)

# changes and limits -----------------------------------------------------------------------

SET = Key(
    "set",
    MapOf(CHANGED_HEADER, HEADER_VALUE, "field names with values", any_case=True),
    "Fields to set.",
)
REMOVE = Key("remove", ListOf(CHANGED_HEADER, "field names"), "Fields to remove.")
_CHANGES = Table(SET, REMOVE, other_words={**OTHER_WORDS, "add": "set", "unset": "remove"})
REQUEST_HEADERS: Key[Settings] = Key(
    "request_headers", _CHANGES, "Changes to the header fields that the origin is sent."
)
RESPONSE_HEADERS: Key[Settings] = Key(
    "response_headers", _CHANGES, "Changes to the header fields that clients are sent."
)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            raise Unfit from error
        raise Unfit(f"did you mean {meant}?", f"{text} has bits beyond its prefix") from error


NETWORKS = ListOf(
    Parsed("a network such as 192.0.2.0/24", _network, r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?"),
    "a network such as 192.0.2.0/24, or a list of them",
)
ALLOW = Key("allow", NETWORKS, "The only networks that may ask; others get 403.")
DENY = Key("deny", NETWORKS, "Networks that may not ask, allowed or not.")
ACCESS: Key[Settings] = Key(
    "access", Table(ALLOW, DENY, other_words=OTHER_WORDS), "Who may ask, by address."
)
PURGE: Key[Settings] = Key(
    "purge",
    Table(ALLOW, DENY, other_words=OTHER_WORDS),
    "Take the method PURGE from these networks: it forgets the URL, in every variant.",
)
CDN: Key[bool] = Key(
    "cdn",
    Flag(),
    "Whether the CDN in front keeps what the route delivers, so that purges go on to it.",
    default="false",
)
MAX_BODY = Key("max_body", SIZE, "The largest body of a request; a larger one gets 413.")
ROUTE_FIRST_BYTE = Key("first_byte", POSITIVE_DURATION, "In place of the origin's.")
ROUTE_BETWEEN_BYTES = Key("between_bytes", POSITIVE_DURATION, "In place of the origin's.")
ROUTE_TOTAL = Key("total", POSITIVE_DURATION, "In place of the origin's.")
TIMEOUTS: Key[Settings] = Key(
    "timeouts",
    Table(ROUTE_FIRST_BYTE, ROUTE_BETWEEN_BYTES, ROUTE_TOTAL, other_words=OTHER_WORDS),
    "How long each phase of an exchange may take, in place of the origin's limits.",
)
