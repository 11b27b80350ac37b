"""The keys under `images`: which renditions of pictures clients get."""

from gateway.config.shapes import Count, Flag, Matching, TextOr, WordOr, Words
from gateway.config.tables import Key, ListOf, Settings, Table
from gateway.config.words import OTHER_WORDS

FORMATS = Key(
    "formats",
    ListOf(Words("avif", "webp"), "avif or webp, the preferred one first"),
    "Formats that clients get who accept them; of two liked equally the first is taken.",
    default="[avif, webp]",
)
_SCALE = Count(1, 100)
AVIF = Key("avif", _SCALE, "For AVIF.", default="50")
WEBP = Key("webp", _SCALE, "For WebP.", default="78")
JPEG = Key("jpeg", _SCALE, "For pictures that stay JPEG and get narrower.", default="80")
_QUALITY: TextOr[int, Settings] = TextOr(
    _SCALE, Table(AVIF, WEBP, JPEG, other_words={**OTHER_WORDS, "jpg": "jpeg"})
)
QUALITY = Key(
    "quality",
    _QUALITY,
    "From 1 to 100, for all formats or for each; every encoder has a scale of its own.",
)
EFFORT = Key(
    "effort",
    Count(0, 10),
    "From 0 to 10: how long the encoder looks for something smaller.",
    default="4",
)
WIDTHS = Key(
    "widths",
    ListOf(Count(1, 16_384), "widths in pixels"),
    "Widths that may be asked for; without this key pictures stay as wide as they are.",
)
WIDTH_PARAMETER = Key(
    "width_parameter",
    Matching("a query parameter's name", r"[A-Za-z0-9_.~-]{1,40}"),
    "The query parameter that asks for a width; the origin doesn't see it.",
    default="w",
)
OTHER_WIDTHS = Key(
    "other_widths",
    Words("round_up", "refuse", other_words={"round": "round_up", "reject": "refuse"}),
    "What a width that isn't listed gets: the next larger one, or 400.",
    default="round_up",
)
HINTS = Key(
    "hints",
    Flag(),
    "Whether Save-Data lowers the quality, and Sec-CH-Width asks for a width.",
    default="false",
)
ANIMATIONS = Key(
    "animations",
    Words("keep", "pass"),
    "Whether animated pictures are made into animated ones, or passed as they are.",
    default="keep",
)
CDN_VARIES = Key(
    "cdn_varies",
    Flag(),
    "Whether the CDN in front heeds `Vary: Accept`; Cloudflare does with its variants only. "
    "Else it is told to keep no rendition.",
    default="false",
)
MAX_PIXELS = Key(
    "max_pixels",
    Count(1, 500_000_000),
    "The most pixels of a picture, all frames counted; a larger one is passed as it is.",
    default="25000000",
)
IMAGES: Key[Settings | str] = Key(
    "images",
    WordOr(
        Words("on", "off", other_spellings={"true": "on", "false": "off"}),
        Table(
            FORMATS,
            QUALITY,
            EFFORT,
            WIDTHS,
            WIDTH_PARAMETER,
            OTHER_WIDTHS,
            HINTS,
            ANIMATIONS,
            CDN_VARIES,
            MAX_PIXELS,
            other_words={**OTHER_WORDS, "sizes": "widths", "speed": "effort"},
        ),
    ),
    "In which formats and widths clients get pictures; without this key as they are.",
)
