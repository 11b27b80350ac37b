"""The keys under `compress`: in which content codings clients get what a route delivers."""

from gateway.config.shapes import Count, Flag, WordOr, Words
from gateway.config.tables import Key, ListOf, Settings, Table
from gateway.config.units import SIZE
from gateway.config.words import MEDIA_TYPE, OTHER_WORDS

ENCODINGS = Key(
    "encodings",
    ListOf(
        Words("br", "zstd", "gzip", "deflate", other_words={"brotli": "br", "zstandard": "zstd"}),
        "br, zstd, gzip or deflate, the preferred one first",
    ),
    "Codings that clients may get; of two that a client likes equally the first is taken.",
    default="[br, zstd, gzip, deflate]",
)
MIN_SIZE = Key("min_size", SIZE, "Shorter bodies are left as they are.", default="1KB")
MEDIA_TYPES = Key(
    "types",
    ListOf(MEDIA_TYPE, "media types, with * for any characters"),
    "What gets smaller; without this key: text, JSON, JavaScript, XML, SVG, WebAssembly and "
    "plain fonts.",
)
RECOMPRESS = Key(
    "recompress",
    WordOr(Words("off", other_spellings={"false": "off", "never": "off"}), Count(1, 1_000_000)),
    "After how many hits a stored response is encoded again in the background, as small as "
    "its coding can make it.",
    default="8",
)
REFLECTING = Key(
    "with_query",
    Words("true", "false", "pad", other_spellings={"True": "true", "False": "false"}),
    "Whether responses that aren't public are encoded although the request has a query; false "
    "is the guard against BREACH, and pad a weaker one: up to 256 random bytes hide the length.",
    default="true",
)
EARLY = Key(
    "early",
    Words("http2", "all", "none", other_words={"h2": "http2"}),
    "Who gets a 103 while the origin makes the page: clients of HTTP/2, all, or nobody.",
    default="http2",
)
MOST_HINTS = Key("most", Count(1, 50), "Files that are told of at the most.", default="10")
HINTS: Key[Settings | str] = Key(
    "hints",
    WordOr(
        Words("learn", "off", other_spellings={"true": "learn", "on": "learn", "false": "off"}),
        Table(EARLY, MOST_HINTS, other_words=OTHER_WORDS),
    ),
    "Learn from pages which public files they need, and tell of them in Link and in 103 (Early "
    "Hints); without this key nothing is learned.",
)
DICTIONARIES = Key(
    "dictionaries",
    Flag(),
    "Whether public files with a hash in their names are dictionaries for the releases that "
    "follow them (RFC 9842): browsers get the difference, over TLS.",
    default="false",
)
COMPRESS: Key[Settings | str] = Key(
    "compress",
    WordOr(
        Words("on", "off", other_spellings={"true": "on", "false": "off"}),
        Table(
            ENCODINGS,
            MIN_SIZE,
            MEDIA_TYPES,
            RECOMPRESS,
            REFLECTING,
            DICTIONARIES,
            other_words=OTHER_WORDS,
        ),
    ),
    "In which content codings clients get responses; without this key they are left as they are.",
)
