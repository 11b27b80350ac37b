"""Renditions of pictures: what is kept of a source, what isn't, and what isn't touched."""

import struct
import zlib

import pytest
from PIL import Image, ImageChops, ImageStat

from gateway.edge.render import Order, render
from tests.doubles.pictures import (
    animation,
    chart,
    decoded,
    encoded,
    jpeg,
    located,
    photo,
    png,
    profile,
)

FORMATS = ["avif", "webp"]


def order(source: bytes, form: str = "avif", width: int = 0, **settings: object) -> Order:
    chosen: dict[str, object] = {
        "quality": 70, "effort": 2, "rival": 0, "animations": True, "max_pixels": 10_000_000,
        **settings,
    }  # fmt: skip
    return Order(source, form, width, **chosen)  # type: ignore[arg-type]


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return how far apart two pictures of one size are, from 0 to 255, on average."""
    apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return sum(ImageStat.Stat(apart).mean) / 3


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("kind", "source"), [("jpeg", jpeg()), ("png", png())])
def test_a_rendition_is_smaller_and_looks_alike(form: str, kind: str, source: bytes) -> None:
    rendered = render(order(source, form))

    made = decoded(rendered.body)
    assert (rendered.why, made.format) == ("", form.upper()), kind
    assert len(rendered.body) < len(source)
    assert made.size == decoded(source).size
    assert difference(made, decoded(source)) < 6
    assert rendered.seconds > 0


@pytest.mark.parametrize("form", [*FORMATS, ""])
def test_it_is_as_wide_as_was_asked_and_keeps_its_shape(form: str) -> None:
    made = decoded(render(order(jpeg(), form, 320)).body)

    assert made.size == (320, 200)
    assert made.format == (form.upper() or "JPEG")


def test_a_source_is_never_made_wider() -> None:
    assert decoded(render(order(jpeg(), "avif", 4000)).body).size == (640, 400)
    assert render(order(jpeg(), "", 4000)).why == "as-it-is"


@pytest.mark.parametrize("form", [*FORMATS, ""])
def test_it_is_turned_upright_and_says_nothing_about_its_maker(form: str) -> None:
    source = located()
    assert b"SECRETCAMERA" in source

    body = render(order(source, form, 200)).body

    made = decoded(body)
    assert made.size == (200, 320)
    assert not dict(made.getexif())
    assert b"SECRETCAMERA" not in body
    upright = decoded(source).transpose(Image.Transpose.ROTATE_270).resize((200, 320))
    assert difference(made, upright) < 8


@pytest.mark.parametrize("form", [*FORMATS, ""])
def test_its_colour_profile_is_kept(form: str) -> None:
    said = profile()
    source = jpeg(icc_profile=said)

    assert decoded(render(order(source, form, 320)).body).info["icc_profile"] == said


@pytest.mark.parametrize("form", FORMATS)
def test_transparency_is_kept(form: str) -> None:
    clear = photo(200, 200).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((200, 200)))

    made = decoded(render(order(png(clear), form)).body).convert("RGBA")

    assert abs(made.getpixel((100, 2))[3] - clear.getpixel((100, 2))[3]) < 12  # type: ignore[index]
    assert abs(made.getpixel((100, 197))[3] - clear.getpixel((100, 197))[3]) < 12  # type: ignore[index]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_way_to_hold_colours_comes_through(form: str, mode: str) -> None:
    shown = (chart if mode == "P" else photo)(300, 200).convert(mode)
    source = jpeg(shown) if mode == "CMYK" else encoded(shown, "PNG")

    rendered = render(order(source, form))

    assert rendered.why == "" or (mode in "1P" and rendered.why == "larger")
    if rendered.body:
        assert difference(decoded(rendered.body), decoded(source)) < 10


def test_a_drawing_keeps_its_edges() -> None:
    """Halving the colours' resolution, as photos bear it, would blur letters."""
    image = Image.new("RGB", (200, 100), "#ff0000")
    for x in range(0, 200, 2):
        image.paste((0, 0, 255), (x, 0, x + 1, 100))

    for form in FORMATS:
        made = decoded(render(order(encoded(image, "BMP"), form, quality=80)).body)
        assert difference(made, image) < 20, form


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_keeps_its_frames_and_their_time(form: str, kind: str) -> None:
    source = animation(kind=kind)
    rendered = render(order(source, form, quality=40))
    if rendered.why == "as-it-is":
        assert form == kind.lower()
        return

    made = decoded(rendered.body)
    original = decoded(source)
    assert made.n_frames == 5  # type: ignore[attr-defined]
    for frame in range(5):
        made.seek(frame)
        made.load()
        original.seek(frame)
        assert made.info["duration"] == 80
        assert difference(made, original) < 20


def test_an_animation_that_ends_does_not_go_on_for_ever() -> None:
    once = animation(loop=None)
    thrice = animation(loop=2)

    assert render(order(once, "avif")).why == "animated"
    assert decoded(render(order(once, "webp", quality=40)).body).info["loop"] == 1
    assert decoded(render(order(thrice, "webp", quality=40)).body).info["loop"] == 3


def test_animations_are_left_alone_where_the_rules_say_so() -> None:
    assert render(order(animation(), "webp", animations=False)).why == "animated"


def test_a_rendition_that_would_be_larger_is_none() -> None:
    tight = encoded(photo(), "WEBP", quality=5)

    rendered = render(order(tight, "avif", quality=100))

    assert (rendered.body, rendered.why) == (b"", "larger")


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that claims to be of a size that nobody could hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack("!I", len(data)) + body + struct.pack("!I", zlib.crc32(body))

    rows = zlib.compress(b"\0" * 100_000, 9)
    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    begin = b"\x89PNG\r\n\x1a\n"
    return begin + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_of_too_many_pixels_is_not_looked_at() -> None:
    assert render(order(bomb(60_000, 60_000))).why == "too-large"
    assert render(order(jpeg(), max_pixels=640 * 400 - 1)).why == "too-large"
    assert render(order(jpeg(), max_pixels=640 * 400)).why == ""
    # All frames of an animation count.
    assert render(order(animation(), max_pixels=160 * 100 * 4)).why == "too-large"


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"nothing of the kind",
        jpeg()[:2000],
        png()[:300],
        bomb(4000, 2000),
        b"GIF89a" + b"\xff" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_what_is_broken_or_no_picture_stays_as_it_is(source: bytes) -> None:
    rendered = render(order(source))

    assert rendered.body == b""
    assert rendered.why == "broken"


def test_more_depth_than_a_rendition_has_is_not_thrown_away() -> None:
    deep = Image.frombytes("I;16", (64, 64), bytes(range(256)) * 32)

    assert render(order(encoded(deep, "PNG"))).why == "deep"


def test_more_effort_makes_it_smaller() -> None:
    source = jpeg()

    hasty, patient = (render(order(source, "avif", effort=each)) for each in (0, 6))

    assert len(patient.body) < len(hasty.body)


def test_a_chart_is_drawn_again_without_loss_where_that_is_smaller() -> None:
    made = decoded(render(order(png(), "webp")).body)

    assert difference(made, chart()) == 0


def test_a_drawing_is_no_avif_where_webp_would_be_smaller() -> None:
    sizes = {form: len(render(order(png(), form)).body or png()) for form in FORMATS}
    assert sizes["webp"] < sizes["avif"]

    assert render(order(png(), "avif", rival=70)).why == "webp-is-smaller"
    assert render(order(jpeg(), "avif", rival=1)).why == ""
