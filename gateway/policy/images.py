"""Which rendition of a picture a client gets, and what that changes in a head.

Accept comes in as many spellings as there are browsers, and any number can be asked for as a
width. Here each comes down to one of few renditions, so that what is stored beside a picture
stays little. Making them is `edge/render.py`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

from gateway.policy import negotiation
from gateway.policy.stored import Form, StoredResponse
from gateway.wire.fields import Fields, elements, line
from gateway.wire.message import Target


class Picture(StrEnum):
    """A format that pictures are made into, by the subtype of its media type."""

    AVIF = "avif"
    WEBP = "webp"


SOURCE: Final = ""
"""In a rendition's place of a format: whichever the origin's picture has."""
TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff")
"""What renditions are made of. AVIF is as small as it gets, and SVG is text."""


@dataclass(frozen=True, slots=True)
class Qualities:
    """How good renditions are, from 1 to 100 on each encoder's own scale."""

    avif: int
    webp: int
    source: int
    """Of pictures that keep their format."""

    def of(self, form: str) -> int:
        """Return the one for *form*, a `Picture` or `SOURCE`."""
        match form:
            case Picture.AVIF.value:
                return self.avif
            case Picture.WEBP.value:
                return self.webp
        return self.source


QUALITIES: Final = Qualities(avif=50, webp=78, source=80)
"""When the rules say nothing: what looks alike on photos."""
_SAVING: Final = 0.7
"""The share of the quality that is left to those who save data."""
_FLOOR: Final = 10
_HINTS: Final = (b"Save-Data", b"Sec-CH-Width", b"Sec-CH-DPR")
_LONGEST_NUMBER: Final = 6


class WidthRefused(ValueError):
    """A width can't be had; the text says which can."""


@dataclass(frozen=True, slots=True)
class Images:
    """What a route says about pictures."""

    formats: tuple[Picture, ...] = (Picture.AVIF, Picture.WEBP)
    """Those that may be made; of two that a client likes equally the first is taken."""
    quality: Qualities = QUALITIES
    effort: int = 4
    """0 to 10: how long the encoder may look for something smaller."""
    widths: tuple[int, ...] = ()
    """Widths in pixels that may be asked for, ascending; none leaves pictures as wide as they
    are."""
    width_parameter: bytes = b"w"
    """The name of the query's parameter that asks for one."""
    rounds_up: bool = True
    """Whether another width gets the next larger one; else it is refused."""
    hints: bool = False
    """Whether Save-Data, Sec-CH-Width and Sec-CH-DPR count."""
    animations: bool = True
    """Whether animated pictures are made into animated ones; else they are left as they are."""
    cdn_varies: bool = False
    """Whether a CDN in front heeds ``Vary: Accept``; one that doesn't may keep no rendition."""
    max_pixels: int = 25_000_000
    """The most pixels of a picture, all frames counted, beyond which it isn't looked at."""

    def quality_of(self, form: str, *, saves: bool) -> int:
        """Return the quality of a rendition in *form*, for those who save data or others."""
        quality = self.quality.of(form)
        return max(_FLOOR, round(quality * _SAVING)) if saves else quality


@dataclass(frozen=True, slots=True)
class Rendition:
    """A picture in one format, one width and one quality."""

    format: str
    """A `Picture`, or `SOURCE`."""
    width: int
    """Pixels; 0 is as wide as it is."""
    quality: int
    effort: int
    saves: bool = False
    """Whether it is for those who save data."""

    @property
    def name(self) -> str:
        """What it is kept under beside its source; `parse` reads it."""
        saves = "/save" if self.saves else ""
        return f"{self.format}/{self.width}{saves};q={self.quality};effort={self.effort}"


def parse(name: str) -> Rendition:
    """Return the rendition that `Rendition.name` named."""
    what, quality, effort = name.split(";")
    form, width, *rest = what.split("/")
    return Rendition(form, int(width), int(quality[2:]), int(effort[7:]), saves=bool(rest))


def supersedes(name: str, other: str) -> bool:
    """Return whether *name* takes the place of *other*: the same picture by newer rules."""
    return "/" in name and name.partition(";")[0] == other.partition(";")[0]


@lru_cache(maxsize=4096)
def accepted(accept: bytes | None, formats: tuple[Picture, ...]) -> tuple[tuple[str, ...], bytes]:
    """Return the formats for a client whose Accept is *accept*, and the Accept of its like.

    A format counts when it is named: those who say only ``*/*`` or ``image/*`` may be too old
    for it. The one with the greatest weight comes first, of several the first of *formats*.
    """
    weights: dict[bytes, float] = {}
    for element in elements(accept or b""):
        name, _, parameters = element.lower().partition(b";")
        weights[name.strip()] = _weight(parameters)
    weighed = [(weights.get(b"image/" + each.encode(), 0.0), each.value) for each in formats]
    liked = sorted((each for each in weighed if each[0] > 0), key=lambda each: -each[0])
    chosen = tuple(name for _, name in liked)
    if not chosen:
        return (), b"*/*"
    normal = [b"image/%b;q=%b" % (name.encode(), _RANKS[rank]) for rank, name in enumerate(chosen)]
    return chosen, b",".join([*normal, b"*/*;q=0.1"]).replace(b";q=1,", b",")


_RANKS: Final = (b"1", b"0.9")


def _weight(parameters: bytes) -> float:
    for each in parameters.split(b";"):
        name, _, value = each.strip().partition(b"=")
        if name == b"q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


def asked(fields: Fields, target: Target, rules: Images) -> tuple[Rendition, ...]:
    """Return the renditions of *target* that will do for *fields*, the best one first.

    None at all when the source as it is will do best. Raises WidthRefused.
    """
    formats, _ = accepted(fields.get(b"accept"), rules.formats)
    width = _width(fields, target, rules)
    saves = rules.hints and _saves(fields)
    if not formats and not width and not saves:
        return ()
    return tuple(
        Rendition(each, width, rules.quality_of(each, saves=saves), rules.effort, saves)
        for each in formats or (SOURCE,)
    )


def _width(fields: Fields, target: Target, rules: Images) -> int:
    """Return the width that is asked for, by the query before any hint; 0 for none."""
    if not rules.widths:
        return 0
    written = _parameter(target.query, rules.width_parameter)
    if written is not None:
        return _allowed(written, rules)
    if not rules.hints:
        return 0
    hinted = _number(fields.get(b"sec-ch-width"))
    if hinted is None:
        return 0
    if _saves(fields):
        # Sharp enough without the pixels that only a dense screen shows.
        ratio = _number(fields.get(b"sec-ch-dpr"), fraction=True) or 1.0
        hinted /= min(max(ratio, 1.0), 4.0)
    return _next(hinted, rules.widths)


def _saves(fields: Fields) -> bool:
    return (fields.get(b"save-data") or b"").strip().lower() == b"on"


def _next(width: float, widths: tuple[int, ...]) -> int:
    return next((each for each in widths if each >= width), widths[-1])


def _allowed(written: bytes, rules: Images) -> int:
    name = rules.width_parameter.decode("ascii")
    choices = ", ".join(str(each) for each in rules.widths)
    if not written.isdigit() or len(written) > _LONGEST_NUMBER or int(written) == 0:
        text = written[:40].decode("ascii", "replace")
        raise WidthRefused(f"{name} is a width in pixels such as {rules.widths[0]}, got {text!r}")
    width = int(written)
    if width in rules.widths:
        return width
    if not rules.rounds_up:
        raise WidthRefused(f"{name}={width} is none of the widths there are: {choices}")
    return _next(width, rules.widths)


def _number(value: bytes | None, *, fraction: bool = False) -> float | None:
    text = (value or b"").strip()
    whole, _, rest = text.partition(b".")
    if not whole.isdigit() or len(whole) > _LONGEST_NUMBER or (rest and not rest.isdigit()):
        return None
    return float(text) if fraction else float(int(whole))


def _parameter(query: bytes | None, name: bytes) -> bytes | None:
    """Return the value of the last parameter *name* in *query*; None without one."""
    found = None
    for pair in (query or b"").split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            found = value
    return found


def of_source(target: Target, rules: Images) -> Target:
    """Return *target* without the parameter that asks for a width: one source serves all."""
    if not rules.widths or target.query is None:
        return target
    pairs = target.query.split(b"&")
    rest = [pair for pair in pairs if pair.partition(b"=")[0] != rules.width_parameter]
    if len(rest) == len(pairs):
        return target
    return Target(target.path, b"&".join(rest) if rest else None)


def bucketed(fields: Fields, rules: Images) -> Fields:
    """Return a request's *fields* as all have them who want the same.

    What asks for a width ends here: the origin sends the source, for every width.
    """
    accept = fields.get(b"accept")
    _, normal = accepted(accept, rules.formats)
    if accept != normal:
        fields = fields.replaced(b"Accept", normal)
    if rules.hints:
        fields = fields.without(_ENDING if _saves(fields) else _ENDING | {b"save-data"})
    return fields


_ENDING: Final = frozenset({b"sec-ch-width", b"sec-ch-dpr", b"sec-ch-viewport-width"})


def suits(status: int, fields: Fields) -> bool:
    """Return whether a response of *status* with *fields* is a picture to make others of."""
    if status != 200 or b"content-range" in fields:
        return False
    kind = fields.get(b"content-type")
    if kind is None or not negotiation.listed(kind, TYPES):
        return False
    encoded = fields.get(b"content-encoding")
    if encoded is not None and encoded.strip().lower() not in (b"", b"identity"):
        return False
    return not negotiation.forbids_transforming(fields)


def varied(fields: Fields, rules: Images) -> Fields:
    """Return the *fields* of a picture, which say what another client might get another by.

    So says the source, too: a cache after us must not give it to everybody.
    """
    for name in (b"Accept", *(_HINTS if rules.hints else ())):
        fields = negotiation.varied_by(fields, name)
    return fields


def after_us(fields: Fields, stored: StoredResponse, rules: Images) -> Fields:
    """Return *fields*, with which *stored* leaves, as they are safe before a CDN.

    Cloudflare heeds no Vary but that of its paid variants, and would give to everybody what
    it got for one. It alone reads the field that keeps renditions out of it.
    """
    if rules.cdn_varies or "/" not in stored.coding:
        return fields
    return fields.replaced(b"Cloudflare-CDN-Cache-Control", b"no-store")


def source(stored: StoredResponse, rules: Images, *, passing: bool) -> StoredResponse:
    """Return *stored* as it is sent in place of a rendition.

    *passing* while that is being made.
    """
    return replace(stored, fields=varied(stored.fields, rules), passing=passing)


def represented(stored: StoredResponse, form: Form, rules: Images) -> StoredResponse:
    """Return *stored* as the rendition *form*, with a tag of its own bytes."""
    rendition = parse(form.coding)
    fields = varied(stored.fields.without(negotiation.OF_THE_BYTES), rules)
    suffix = (rendition.format or "as-is").encode()
    if rendition.width:
        suffix += b"-%d" % rendition.width
    tag = negotiation.tag_of(fields, suffix, form.mark, weak=False)
    if tag is not None:
        fields = fields.replaced(b"ETag", tag)
    if rendition.format:
        fields = fields.replaced(b"Content-Type", b"image/" + rendition.format.encode())
    saved = negotiation.ratio(form.plain_bytes, len(form.body))
    return replace(
        stored,
        fields=fields.plus(line(b"X-Compression-Ratio", saved)),
        body=form.body,
        coding=form.coding,
        forms=(),
    )
