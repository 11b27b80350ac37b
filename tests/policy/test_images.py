"""What a client sends comes down to one of few renditions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import images
from gateway.policy.images import Images, Picture, Qualities, Rendition, WidthRefused
from gateway.wire.fields import Fields, line
from gateway.wire.message import Target

BOTH = (Picture.AVIF, Picture.WEBP)


def fields(**values: str) -> Fields:
    return Fields(
        [line(name.replace("_", "-").encode(), value.encode()) for name, value in values.items()]
    )


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("image/avif,image/webp,*/*", "avif"),
        ("image/webp,*/*", "webp"),
        ("image/avif;q=0.5,image/webp", "webp"),
        ("image/webp, image/avif", "avif"),
        ("IMAGE/AVIF", "avif"),
        ("image/avif ; q=1.0", "avif"),
        ("image/avif;q=0,image/webp;q=0", ""),
        ("image/avif;q=0,image/webp;q=0.001", "webp"),
        ("image/avif;q=2,image/webp", "webp"),
        ("image/avif;q=high", ""),
        ("image/*", ""),
        ("*/*", ""),
        ("text/html", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_best_format_that_is_named_is_chosen(accept: str | None, expected: str) -> None:
    value = None if accept is None else accept.encode()

    assert images.accepted(value, BOTH)[0][:1] == ((expected,) if expected else ())


def test_rules_decide_between_formats_that_a_client_likes_equally() -> None:
    accept = b"image/avif,image/webp"

    assert images.accepted(accept, (Picture.WEBP, Picture.AVIF))[0] == ("webp", "avif")
    assert images.accepted(accept, (Picture.WEBP,))[0] == ("webp",)
    assert images.accepted(b"image/avif", (Picture.WEBP,))[0] == ()


@given(st.one_of(st.none(), st.binary(max_size=80), st.text("imagevfwbp/*;q=0.1, ", max_size=80)))
def test_what_stands_for_an_accept_comes_down_to_the_same(accept: str | bytes | None) -> None:
    value = accept.encode() if isinstance(accept, str) else accept
    chosen, normal = images.accepted(value, BOTH)

    assert images.accepted(normal, BOTH) == (chosen, normal)
    assert normal in {
        b"image/avif,image/webp;q=0.9,*/*;q=0.1",
        b"image/webp,image/avif;q=0.9,*/*;q=0.1",
        b"image/avif,*/*;q=0.1",
        b"image/webp,*/*;q=0.1",
        b"*/*",
    }


def test_a_rendition_is_known_by_its_name() -> None:
    for rendition in (
        Rendition("avif", 0, 50, 4),
        Rendition("webp", 640, 78, 0),
        Rendition("", 320, 80, 10, saves=True),
    ):
        assert images.parse(rendition.name) == rendition


def test_the_same_picture_by_newer_rules_takes_the_place_of_the_older() -> None:
    name = Rendition("avif", 640, 60, 4).name

    assert images.supersedes(name, Rendition("avif", 640, 30, 9).name)
    assert not images.supersedes(name, Rendition("avif", 320, 60, 4).name)
    assert not images.supersedes(name, Rendition("webp", 640, 60, 4).name)
    assert not images.supersedes(name, Rendition("avif", 640, 42, 4, saves=True).name)
    assert not images.supersedes("br", "br")


def test_who_wants_nothing_else_gets_the_source() -> None:
    rules = Images(widths=(320,), hints=True)

    assert images.asked(fields(accept="*/*"), Target(b"/a", None), rules) == ()
    assert images.asked(fields(accept="*/*"), Target(b"/a", b"v=1"), rules) == ()


def test_quality_is_by_format_and_lower_for_those_who_save_data() -> None:
    rules = Images(quality=Qualities(avif=50, webp=70, source=90), hints=True)
    asked = [
        images.asked(fields(accept=accept, save_data="on"), Target(b"/a", None), rules)
        for accept in ("image/avif", "image/webp", "*/*")
    ]

    assert [each[0].quality for each in asked] == [35, 49, 63]
    unheeded = images.asked(
        fields(accept="image/avif", save_data="on"), Target(b"/a", None), Images()
    )
    assert unheeded == (Rendition("avif", 0, 50, 4),)


@given(st.integers(1, 999_999), st.sets(st.integers(1, 16_384), min_size=1))
def test_any_width_comes_down_to_an_allowed_one(width: int, allowed: set[int]) -> None:
    rules = Images(widths=tuple(sorted(allowed)))

    (asked,) = images.asked(Fields(), Target(b"/a", b"w=%d" % width), rules)

    assert asked.width in allowed
    assert asked.width >= min(width, max(allowed))


@given(st.binary(max_size=12))
def test_what_is_no_number_is_refused_whatever_it_is(written: bytes) -> None:
    rules = Images(widths=(320,))
    written = written.replace(b"&", b"")
    if written.isdigit() and 0 < int(written) < 1_000_000 and len(written) <= 6:
        return

    with pytest.raises(WidthRefused, match="w is a width in pixels such as 320"):
        images.asked(Fields(), Target(b"/a", b"w=" + written), rules)


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        (None, None),
        (b"", b""),
        (b"w=1", None),
        (b"w", None),
        (b"a=1&w=2&b=3", b"a=1&b=3"),
        (b"w=1&w=2&a=b", b"a=b"),
        (b"ww=1&xw=2", b"ww=1&xw=2"),
        (b"a=w=1", b"a=w=1"),
    ],
)
def test_the_width_leaves_the_target_and_the_rest_stays(
    query: bytes | None, rest: bytes | None
) -> None:
    rules = Images(widths=(320,))

    assert images.of_source(Target(b"/a", query), rules) == Target(b"/a", rest)
    assert images.of_source(Target(b"/a", query), Images()) == Target(b"/a", query)


def test_a_picture_varies_by_all_that_counts_whether_it_was_changed_or_not() -> None:
    assert images.varied(Fields(), Images()).get(b"vary") == b"Accept"
    assert images.varied(fields(vary="Origin, accept"), Images()).get(b"vary") == b"Origin, accept"
    hinted = images.varied(fields(vary="Origin"), Images(hints=True)).get(b"vary")
    assert hinted == b"Origin, Accept, Save-Data, Sec-CH-Width, Sec-CH-DPR"


@pytest.mark.parametrize(
    ("status", "known", "suits"),
    [
        (200, {"content_type": "image/png"}, True),
        (200, {"content_type": "IMAGE/JPEG; q=1"}, True),
        (200, {"content_type": "image/svg+xml"}, False),
        (200, {"content_type": "image/avif"}, False),
        (200, {"content_type": "text/html"}, False),
        (200, {}, False),
        (404, {"content_type": "image/png"}, False),
        (206, {"content_type": "image/png", "content_range": "bytes 0-1/2"}, False),
        (200, {"content_type": "image/png", "content_encoding": "gzip"}, False),
        (200, {"content_type": "image/png", "cache_control": "public, no-transform"}, False),
    ],
)
def test_only_whole_pictures_that_may_be_changed_are(
    status: int, known: dict[str, str], suits: bool
) -> None:
    assert images.suits(status, fields(**known)) is suits


def test_who_takes_several_formats_gets_the_next_where_the_first_is_no_smaller() -> None:
    asked = images.asked(fields(accept="image/webp,image/avif"), Target(b"/a", None), Images())

    assert [each.format for each in asked] == ["avif", "webp"]
