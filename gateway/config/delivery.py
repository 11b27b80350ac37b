"""From the keys under `compress` to what the edge does with bodies."""

from gateway.config import spec_delivery as spec
from gateway.config.tables import Setting, Settings, merged
from gateway.policy.negotiation import Coding, Compression


def compression(table: Settings | None, defaults: Settings | None) -> Compression | None:
    """Return what *table* of a route, on top of *defaults*, says about content codings.

    None leaves them to the origin.
    """
    setting = _merged(_written(defaults), _written(table))
    if setting is None or setting == "off":
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
        reflecting=setting.get(spec.REFLECTING) is not False,
    )


def _written(table: Settings | None) -> Setting[Settings | str] | None:
    return None if table is None else table.values.get(spec.COMPRESS.name)


def _merged(
    base: Setting[Settings | str] | None, over: Setting[Settings | str] | None
) -> Settings | str | None:
    if over is None:
        return None if base is None else base.value
    if base is not None and isinstance(base.value, Settings) and isinstance(over.value, Settings):
        return merged(base.value, over.value)
    return over.value
