"""From the keys under `compress`, `images` and `hints` to how bodies are delivered."""

from gateway.config import spec_delivery as spec
from gateway.config import spec_images as pictures
from gateway.config.tables import Key, Settings, merged
from gateway.policy.images import QUALITIES, Images, Picture, Qualities
from gateway.policy.negotiation import Coding, Compression
from gateway.routing.route import Early, Hinting


def compression(table: Settings | None, defaults: Settings | None) -> Compression | None:
    """Return what *table* of a route, on top of *defaults*, says about content codings.

    None leaves them to the origin.
    """
    setting = _said(table, defaults, spec.COMPRESS)
    if setting is None:
        return None
    standard = Compression()
    if isinstance(setting, str):
        return standard
    codings = setting.get(spec.ENCODINGS)
    types = setting.get(spec.MEDIA_TYPES)
    min_bytes = setting.get(spec.MIN_SIZE)
    again = setting.get(spec.RECOMPRESS)
    after: int | None = standard.recompress_after
    if again is not None:
        after = again if isinstance(again, int) else None
    return Compression(
        codings=standard.codings
        if codings is None
        else tuple(dict.fromkeys(Coding(each.value) for each in codings)),
        min_bytes=standard.min_bytes if min_bytes is None else min_bytes,
        types=standard.types if types is None else tuple(each.value.lower() for each in types),
        recompress_after=after,
        reflecting=setting.get(spec.REFLECTING) != "false",
        dictionaries=setting.get(spec.DICTIONARIES) is True,
        padded=setting.get(spec.REFLECTING) == "pad",
    )


def images(table: Settings | None, defaults: Settings | None) -> Images | None:
    """Return what *table* of a route, on top of *defaults*, says about pictures.

    None leaves them as they are.
    """
    setting = _said(table, defaults, pictures.IMAGES)
    if setting is None:
        return None
    standard = Images()
    if isinstance(setting, str):
        return standard
    formats = setting.get(pictures.FORMATS)
    effort = setting.get(pictures.EFFORT)
    most = setting.get(pictures.MAX_PIXELS)
    name = setting.get(pictures.WIDTH_PARAMETER)
    return Images(
        formats=standard.formats
        if formats is None
        else tuple(dict.fromkeys(Picture(each.value) for each in formats)),
        quality=_qualities(setting.get(pictures.QUALITY)),
        effort=standard.effort if effort is None else effort,
        widths=tuple(sorted({each.value for each in setting.get(pictures.WIDTHS) or ()})),
        width_parameter=standard.width_parameter if name is None else name.encode("ascii"),
        rounds_up=setting.get(pictures.OTHER_WIDTHS) != "refuse",
        hints=setting.get(pictures.HINTS) is True,
        animations=setting.get(pictures.ANIMATIONS) != "pass",
        cdn_varies=setting.get(pictures.CDN_VARIES) is True,
        max_pixels=standard.max_pixels if most is None else most,
    )


def hints(table: Settings | None, defaults: Settings | None) -> Hinting | None:
    """Return what *table* of a route, on top of *defaults*, says about hints; None for none."""
    setting = _said(table, defaults, spec.HINTS)
    if setting is None:
        return None
    standard = Hinting()
    if isinstance(setting, str):
        return standard
    most = setting.get(spec.MOST_HINTS)
    return Hinting(
        early=Early(setting.get(spec.EARLY) or standard.early),
        most=standard.most if most is None else most,
    )


def _qualities(written: int | Settings | None) -> Qualities:
    if written is None:
        return QUALITIES
    if isinstance(written, int):
        return Qualities(written, written, written)
    avif, webp, jpeg = (written.get(key) for key in (pictures.AVIF, pictures.WEBP, pictures.JPEG))
    return Qualities(
        QUALITIES.avif if avif is None else avif,
        QUALITIES.webp if webp is None else webp,
        QUALITIES.source if jpeg is None else jpeg,
    )


def _said(
    table: Settings | None, defaults: Settings | None, key: Key[Settings | str]
) -> Settings | str | None:
    """Return what stands under *key*: settings, or a word for the usual ones; None for off."""
    base, over = _written(defaults, key), _written(table, key)
    if isinstance(base, Settings) and isinstance(over, Settings):
        return merged(base, over)
    said = base if over is None else over
    return None if said == "off" else said


def _written(table: Settings | None, key: Key[Settings | str]) -> Settings | str | None:
    return None if table is None else table.get(key)
