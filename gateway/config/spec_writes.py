"""The keys under `invalidate`: what successful writes make wrong."""

from gateway.config.shapes import Parsed, Unfit, Words
from gateway.config.tables import Key, ListOf, Settings, Table
from gateway.config.words import GLOB, GROUP, METHOD, OTHER_WORDS

_DATABASE_SCHEMES = ("postgresql://", "postgres://")


def _database(text: str) -> str:
    if text and not text.startswith(_DATABASE_SCHEMES):
        # The text isn't repeated: there may be a password in it.
        raise Unfit("begin it with postgresql://", "is no URL of a PostgreSQL")
    return text


DATABASE = Key(
    "database",
    Parsed(
        "a URL such as postgresql://user:password@host:5432/hub; empty for none",
        _database,
        r"|postgres(?:ql)?://.*",
        lambda url: url.rpartition("@")[2],
    ),
    'The hub\'s PostgreSQL: best from the environment, "${DATABASE_URL:-}". Empty switches it off.',
    required=True,
)
INVALIDATE_FROM: Key[Settings] = Key(
    "invalidate_from",
    Table(DATABASE, other_words={**OTHER_WORDS, "url": "database", "postgres": "database"}),
    "Where else purges come from: what changed rows of the hub's database make wrong.",
)

PATH = Key(
    "path",
    ListOf(GLOB, "a path such as /api/projects/*, or a list of them"),
    "Paths, as in match; every path when left out.",
)
METHODS = Key(
    "methods",
    ListOf(METHOD, "a method such as POST, or a list of them"),
    "Methods; every method that may change something when left out.",
)
WHEN: Key[Settings] = Key(
    "when",
    Table(PATH, METHODS, other_words={**OTHER_WORDS, "method": "methods"}),
    "The writes that are meant; they count when they succeed (2xx, 3xx).",
    required=True,
)
GROUPS = Key(
    "groups",
    ListOf(GROUP, "groups such as org:{org}"),
    "The groups that are cleared; {org} and {user} are those of whoever writes.",
    required=True,
)
MODE = Key(
    "mode",
    Words("soft", "hard"),
    "soft asks the origin before the next use, hard forgets.",
    default="soft",
)
INVALIDATE = Key(
    "invalidate",
    ListOf(
        Table(WHEN, GROUPS, MODE, other_words={**OTHER_WORDS, "on": "when"}),
        "a list of writes and what they clear",
        brackets=True,
    ),
    "What a successful write clears, beside what the origin itself says by "
    "Cache-Group-Invalidation.",
)
