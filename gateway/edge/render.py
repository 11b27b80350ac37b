"""The process that makes renditions of pictures, one after another, at the lowest priority.

What it is given comes from anywhere, and decoders of pictures have had their flaws. So it runs
apart from everything else, with bounds on memory, pixels and processor time: a picture that
breaks it costs one rendition. Orders come in at standard input and answers leave at standard
output, each after its length; at the end of the input it ends.
"""

import contextlib
import math
import os
import resource
import signal
import struct
import sys
import time
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final

import msgspec
from PIL import Image, ImageCms, ImageOps

LENGTH: Final = struct.Struct("!Q")
MOST_SECONDS: Final = 60
"""Of processor time for one picture; then the kernel ends this process with SIGXCPU."""
_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_MOVING: Final = frozenset({"PNG", "GIF", "WEBP"})
_DRAWN: Final = frozenset({"PNG", "GIF", "BMP"})
"""Formats of screenshots and charts; photos come in others."""
_FEW_COLOURS: Final = 4096
"""Up to so many a picture counts as drawn: blurred edges would show."""
_TURNED: Final = frozenset({5, 6, 7, 8})
"""Values of EXIF's Orientation that swap width and height."""
_ORIENTATION: Final = 0x0112
_MEMORY_BYTES: Final = 3 << 29
_BYTES_PER_PIXEL: Final = 40
"""At the most, of source, frames, and what an encoder needs."""
_SHORTEST_FRAME_MS: Final = 10
_USUAL_FRAME_MS: Final = 100
"""What browsers make of a frame that claims to be shorter than they show any."""


class Order(msgspec.Struct, array_like=True, frozen=True):
    """A rendition to be made of *source*."""

    source: bytes
    format: str
    """``avif`` or ``webp``; empty for the source's own."""
    width: int
    """Pixels; 0 is as wide as it is."""
    quality: int
    effort: int
    rival: int
    """The quality of the WebP that an AVIF has to be smaller than, where it is of a drawing; 0
    for none."""
    animations: bool
    max_pixels: int


class Rendered(msgspec.Struct, array_like=True, frozen=True):
    """What became of an order."""

    body: bytes
    """Empty where the source does better, or can't be had otherwise."""
    why: str
    """In a word, where it is empty."""
    seconds: float
    """Of processor time."""


class _Unfit(Exception):
    """The picture stays as it is; the text says why, in a word."""


def render(order: Order) -> Rendered:
    """Return what *order* asks for."""
    began = time.process_time()
    body, why = b"", ""
    try:
        body = _made(order)
    except _Unfit as unfit:
        why = str(unfit)
    except MemoryError:
        why = "too-large"
    except Exception:  # noqa: BLE001: Pillow documents no end of errors for broken pictures
        why = "broken"
    if body and len(body) >= len(order.source):
        body, why = b"", "larger"
    return Rendered(body, why, time.process_time() - began)


def _made(order: Order) -> bytes:
    Image.MAX_IMAGE_PIXELS = None  # What is allowed is checked here, before anything is decoded.
    with Image.open(BytesIO(order.source), formats=_FORMATS) as source:
        kind = source.format or ""
        width, height = source.size
        if width * height > order.max_pixels:
            raise _Unfit("too-large")
        frames = getattr(source, "n_frames", 1) if kind in _MOVING else 1
        if width * height * frames > order.max_pixels:
            raise _Unfit("too-large")
        turned = source.getexif().get(_ORIENTATION, 1) in _TURNED
        wide, high = (height, width) if turned else (width, height)
        size = None
        if 0 < order.width < wide:
            size = (order.width, max(1, round(high * order.width / wide)))
        target = (order.format or kind).upper()
        if size is None and target == kind:
            # Again in its own format, and as wide as it is, it could only lose.
            raise _Unfit("as-it-is")
        if frames > 1:
            return _moving(source, order, frames, size)
        if size is not None and kind == "JPEG":
            # Decoding at a half, a quarter or an eighth is what JPEG can do for nothing.
            source.draft(None, (size[1], size[0]) if turned else size)
        return _still(source, order, target, size)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a picture is to be encoded."""

    quality: int
    effort: int
    profile: bytes | None
    drawn: bool
    palette: bool


def _still(source: Image.Image, order: Order, target: str, size: tuple[int, int] | None) -> bytes:
    kind, mode = source.format, source.mode
    turned = ImageOps.exif_transpose(source)
    image, profile = _coloured(turned, grey=target != "WEBP")
    drawn = kind in _DRAWN and image.getcolors(_FEW_COLOURS) is not None
    if size is not None:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    # What the source said about itself ends here: where it was taken, with what, by whom.
    image.info = {}
    look = _Look(order.quality, order.effort, profile, drawn, palette=mode == "P")
    made = _encoded(image, target, look)
    if drawn and order.rival and target == "AVIF":
        rival = replace(look, quality=order.rival)
        if len(_encoded(image, "WEBP", rival)) < len(made):
            raise _Unfit("webp-is-smaller")
    return made


def _encoded(image: Image.Image, target: str, look: _Look) -> bytes:
    match target:
        case "AVIF":
            return _avif([image], look, [0])
        case "WEBP":
            lossy = _saved(image, "WEBP", **_webp(look))
            if not look.drawn:
                return lossy
            lossless = _saved(image, "WEBP", **_webp(look), lossless=True)
            return min(lossless, lossy, key=len)
        case "JPEG" | "MPO":
            return _saved(
                image.convert("RGB") if image.mode == "RGBA" else image,
                "JPEG",
                quality=look.quality,
                optimize=True,
                progressive=True,
                icc_profile=look.profile,
            )
        case "PNG":
            if look.palette:
                image = image.quantize(256, method=Image.Quantize.FASTOCTREE)
            return _saved(image, "PNG", optimize=True, icc_profile=look.profile)
    raise _Unfit("as-it-is")


def _coloured(image: Image.Image, *, grey: bool) -> tuple[Image.Image, bytes | None]:
    """Return *image* as encoders take it, with the profile that its colours are meant by.

    *grey* is whether a picture without colours may stay without.
    """
    if image.mode in ("I", "F", "LAB", "HSV") or image.mode.startswith("I;"):
        # More depth than eight bits, or no colours of a screen.
        raise _Unfit("deep")
    profile: bytes | None = image.info.get("icc_profile") or None
    if image.mode in ("CMYK", "YCbCr"):
        return (image.convert("RGB"), None) if profile is None else (_to_srgb(image, profile), None)
    if image.has_transparency_data:
        converted = image.convert("RGBA")
    elif image.mode in ("1", "L"):
        converted = image.convert("L")
    else:
        converted = image.convert("RGB")
    if profile is None:
        return converted if grey or converted.mode != "L" else converted.convert("RGB"), None
    space = profile[16:20]
    if space == b"GRAY" and converted.mode == "L" and grey:
        return converted, profile
    if space == b"RGB ":
        return converted if converted.mode != "L" else converted.convert("RGB"), profile
    if space == b"GRAY" and converted.mode == "L":
        return _to_srgb(converted, profile), None
    raise _Unfit("colours")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return *image* in the colours that are meant where nothing is said."""
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    if converted is None:
        raise _Unfit("colours")
    return converted


def _moving(source: Image.Image, order: Order, count: int, size: tuple[int, int] | None) -> bytes:
    plays = _plays(source)
    if not order.animations or not order.format or (order.format == "avif" and plays != 0):
        # AVIF as the library writes it goes on for ever, and GIF would only lose.
        raise _Unfit("animated")
    frames, durations = [], []
    profile: bytes | None = source.info.get("icc_profile") or None
    first = 1 if getattr(source, "default_image", False) else 0
    for position in range(first, count):
        source.seek(position)
        source.load()
        shown = int(source.info.get("duration", _USUAL_FRAME_MS))
        durations.append(shown if shown > _SHORTEST_FRAME_MS else _USUAL_FRAME_MS)
        frame = source.convert("RGBA")
        if size is not None:
            frame = frame.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        frame.info = {}
        frames.append(frame)
    look = _Look(order.quality, order.effort, profile, source.format == "GIF", palette=False)
    if order.format == "avif":
        return _avif(frames, look, durations)
    return _saved(
        frames[0],
        "WEBP",
        **_webp(look),
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=plays,
        allow_mixed=True,
    )


def _plays(source: Image.Image) -> int:
    """Return how often an animation is shown; 0 is for ever."""
    loop = source.info.get("loop")
    if source.format == "GIF":
        # Without the application's block it is shown once, and the block counts repetitions.
        if loop is None:
            return 1
        return int(loop) + 1 if loop else 0
    return int(loop or 0)


def _avif(frames: list[Image.Image], look: _Look, durations: list[int]) -> bytes:
    options: dict[str, object] = {}
    if look.drawn and frames[0].mode != "L":
        options["subsampling"] = "4:4:4"
    if len(frames) > 1:
        options |= {"save_all": True, "append_images": frames[1:], "duration": durations}
    return _saved(
        frames[0],
        "AVIF",
        quality=look.quality,
        speed=10 - look.effort,
        max_threads=1,
        icc_profile=look.profile or b"",
        **options,
    )


def _webp(look: _Look) -> dict[str, object]:
    return {
        "quality": look.quality,
        "method": round(look.effort * 0.6),
        "icc_profile": look.profile or b"",
    }


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sys.stdin.buffer.read(size - len(data))
        if not piece:
            return b""
        data += piece
    return data


def main() -> None:
    """Make what is ordered until nobody orders any more."""
    # The terminal's Ctrl-C is for the gateway, which ends us by ending our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(19)
    with contextlib.suppress(OSError):
        # Where memory is short, this is what the kernel ends first, and not who serves.
        Path("/proc/self/oom_score_adj").write_text("1000")
    answers = os.dup(sys.stdout.fileno())
    # Nothing that a library prints may get between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    bound = 0
    with os.fdopen(answers, "wb") as out, contextlib.suppress(BrokenPipeError):
        while head := _read(LENGTH.size):
            order = msgspec.msgpack.decode(_read(LENGTH.unpack(head)[0]), type=Order)
            needed = _MEMORY_BYTES + order.max_pixels * _BYTES_PER_PIXEL
            if needed > bound:
                bound = needed
                _bound_memory(bound)
            _bound_seconds()
            answer = msgspec.msgpack.encode(render(order))
            out.write(LENGTH.pack(len(answer)) + answer)
            out.flush()


def _bound_seconds() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    end = math.ceil(time.process_time()) + MOST_SECONDS
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (end, hard))


def _bound_memory(size: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main()
