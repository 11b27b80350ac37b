"""The keys under `invalidate`: what successful writes make wrong."""

from gateway.config.shapes import Words
from gateway.config.tables import Key, ListOf, Settings, Table
from gateway.config.words import GLOB, GROUP, METHOD, OTHER_WORDS

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
