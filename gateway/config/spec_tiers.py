"""The keys under `tiers`: where responses are kept, and the CDN in front."""

from gateway.config.shapes import Count, Matching, Parsed, Unfit, Words
from gateway.config.tables import Key, ListOf, Settings, Table
from gateway.config.units import HOST, POSITIVE_DURATION, SIZE
from gateway.config.words import OTHER_WORDS
from gateway.storage.redis_url import Address, BadUrl, parse


def _redis_url(text: str) -> Address | None:
    if not text:
        return None
    try:
        return parse(text)
    except BadUrl as error:
        # The text isn't repeated: there may be a password in it.
        raise Unfit(str(error), "is no URL of a Valkey or Redis") from error


MEMORY_SIZE = Key("size", SIZE, "The memory of each worker for responses.", default="256MB")
MAX_OBJECT = Key("max_object", SIZE, "A larger response is passed on, not stored.", default="16MB")
MEMORY: Key[Settings] = Key(
    "memory", Table(MEMORY_SIZE, MAX_OBJECT, other_words=OTHER_WORDS), "The tier in memory."
)
CDN_PROVIDER = Key("provider", Words("cloudflare"), "Whose it is.", required=True)
CDN_ZONE = Key(
    "zone", Matching("a zone's identifier", r"[0-9A-Za-z]{0,64}"), "The zone.", required=True
)
CDN_TOKEN = Key(
    "token",
    Matching("an API token", r"[\x21-\x7e]{0,512}"),
    'An API token that may purge the zone: best from the environment, "${CLOUDFLARE_API_TOKEN:-}".',
    required=True,
)
CDN_HOSTS = Key(
    "hosts",
    ListOf(HOST, "a host such as hub.example.com, or a list of them"),
    "The hosts that it serves: a path that is purged is purged there, too.",
    required=True,
)
CDN: Key[Settings] = Key(
    "cdn",
    Table(CDN_PROVIDER, CDN_ZONE, CDN_TOKEN, CDN_HOSTS, other_words=OTHER_WORDS),
    "The CDN in front of the gateway, to which purges go on. An empty zone or token is none.",
)
LOCAL_SIZE = Key("size", SIZE, "The quota of its file, which never grows larger.", required=True)
LOCAL_MAX_OBJECT = Key("max_object", SIZE, "A larger response isn't kept there.", default="8MB")
LOCAL_PATH = Key(
    "path",
    Matching("the path of a folder", r"[^\x00-\x1f\x7f]{1,512}"),
    "The folder of its file, relative to the rules; else `local` in the state directory.",
)
LOCAL: Key[Settings] = Key(
    "local",
    Table(LOCAL_SIZE, LOCAL_MAX_OBJECT, LOCAL_PATH, other_words=OTHER_WORDS),
    "The tier on disk, which all workers share and which outlives them.",
)
REDIS_URL: Key[Address | None] = Key(
    "url",
    Parsed(
        "a URL such as redis://host:6379, redis+cluster://a:6379,b:6379 or"
        " redis+sentinel://a:26379/service; empty for none",
        _redis_url,
        r"|(?:rediss?(?:\+(?:cluster|sentinel))?|unix)://.+",
        lambda address: "" if address is None else address.told,
    ),
    'Where it is: best from the environment, "${REDIS_URL:-}". Empty switches it off.',
    required=True,
)
REDIS_TIMEOUT = Key(
    "timeout",
    POSITIVE_DURATION,
    "How long a request waits for it at most, connecting included.",
    default="50ms",
)
REDIS_PREFIX = Key(
    "prefix",
    Matching("up to 64 letters, digits and -_.:", r"[A-Za-z0-9_.:-]{1,64}"),
    "What its keys begin with: gateways with the same prefix are one cache.",
    default="hub:",
)
REDIS_MAX_OBJECT = Key("max_object", SIZE, "A larger response isn't kept there.", default="1MB")
REDIS: Key[Settings] = Key(
    "redis",
    Table(REDIS_URL, REDIS_TIMEOUT, REDIS_PREFIX, REDIS_MAX_OBJECT, other_words=OTHER_WORDS),
    "The tier that replicas share, a Valkey or Redis; purges reach the other replicas by it.",
)
TIERS: Key[Settings] = Key("tiers", Table(MEMORY, LOCAL, REDIS, CDN), "Where responses are kept.")

WARM_MOST = Key("most", Count(1, 10_000), "How many of the busiest public URLs.", default="200")
WARM_RATE = Key("rate", Count(1, 10_000), "How many of them a second, at most.", default="50")
WARM: Key[Settings] = Key(
    "warm",
    Table(WARM_MOST, WARM_RATE, other_words=OTHER_WORDS),
    "Fetch what is in demand again, before clients wait for it: after purges, and at the start.",
)
