"""What caches after us are told: browsers, and a CDN in front (RFC 9111 5.2.2; RFC 9213).

They don't know the gateway's partitions, so nothing that belongs to one identity may leave
with a word that lets a shared cache keep it.
"""

from typing import Final

from gateway.policy import lists
from gateway.policy.rules import CacheRules, Scope
from gateway.wire.fields import Fields, line

NEVER: Final = b"private, no-cache, no-store, must-revalidate"
"""What leaves under ``cache: off``, word for word what the hub's clients rely on."""


def fields_for_client(
    fields: Fields, rules: CacheRules, lifetime: float | None, status: int = 200
) -> Fields:
    """Return *fields* with the Cache-Control that clients get.

    *lifetime* is the freshness lifetime in seconds that we hold the response under; None when
    it isn't stored.
    """
    if rules.scope is Scope.SHARED and rules.enabled:
        return fields
    if not rules.enabled:
        return _said(fields, NEVER)
    if rules.scope is Scope.PUBLIC:
        return _for_everybody(fields, rules, lifetime, status)
    return _for_one(fields, rules, lifetime, status)


def _for_one(fields: Fields, rules: CacheRules, lifetime: float | None, status: int) -> Fields:
    """Return what an answer for one user or one organisation says."""
    said = [
        directive for directive in _directives(fields) if _name(directive) not in _FOR_SHARED_CACHES
    ]
    names = {_name(directive) for directive in said}
    if b"private" not in names and b"no-store" not in names:
        if lifetime is not None and status < 400 and b"no-cache" not in names:
            if rules.browser_lifetime is None:
                return _said(fields, b"private, no-cache")
            said = [b"private", b"max-age=%d" % rules.browser_lifetime]
            if rules.immutable:
                said.append(b"immutable")
            return _said(fields, b", ".join(said))
        said.insert(0, b"private")
    # Expires stays here: with the origin's own max-age, and read by private caches alone.
    return _replaced(fields, b", ".join(said), _TARGETED)


def _for_everybody(
    fields: Fields, rules: CacheRules, lifetime: float | None, status: int
) -> Fields:
    """Return what a public answer says."""
    if rules.lifetime is None and rules.browser_lifetime is None:
        return fields
    names = {_name(directive) for directive in _directives(fields)}
    if status >= 400:
        return fields if rules.lifetime is None else _of_an_error(fields, names)
    # What CDN-Cache-Control let us keep in spite of these, others still may not.
    if lifetime is None or not names.isdisjoint(_FORBIDDING):
        return fields
    edge = int(lifetime)
    said = [b"public"]
    if rules.browser_lifetime is not None:
        said.append(b"max-age=%d" % rules.browser_lifetime)
    if rules.browser_lifetime != edge:
        said.append(b"s-maxage=%d" % edge)
    if rules.immutable and rules.browser_lifetime is not None:
        said.append(b"immutable")
    targeted = [b"max-age=%d" % edge]
    grace = _kept(fields, b"stale-while-revalidate")
    if rules.stale_while_revalidate is not None:
        grace = b"stale-while-revalidate=%d" % rules.stale_while_revalidate
    if grace is not None:
        said.append(grace)
        targeted.append(grace)
    return _said(fields, b", ".join(said)).plus(line(b"CDN-Cache-Control", b", ".join(targeted)))


def _of_an_error(fields: Fields, names: set[bytes]) -> Fields:
    """Return what an error on a route with a lifetime of its own says.

    We don't believe the freshness that its origin gave it, so nobody after us shall: a 404
    for a file that is deployed a minute later must not live a year in a browser.
    """
    if not names.isdisjoint(_FORBIDDING):
        return fields.without(_TARGETED)
    claims = not names.isdisjoint(_CLAIMING) or any(name in fields for name in _OVERRULED)
    return _said(fields, b"no-cache") if claims else fields


_MOMENT_SECONDS: Final = 60
_AGES: Final = frozenset({b"max-age", b"s-maxage"})
_LASTING: Final = frozenset({b"immutable", b"stale-while-revalidate", b"stale-if-error"})


def for_a_moment(fields: Fields) -> Fields:
    """Return *fields* of what stands in for something better that is nearly there.

    Nobody after us keeps it longer than a minute: those who took it come again, then.
    """
    said = []
    for directive in _directives(fields):
        name = _name(directive)
        if name in _LASTING:
            continue
        value = directive.partition(b"=")[2].strip(b' "')
        if name in _AGES and value.isdigit() and int(value[:12]) > _MOMENT_SECONDS:
            said.append(b"%b=%d" % (name, _MOMENT_SECONDS))
        else:
            said.append(directive)
    names = {_name(directive) for directive in said}
    if names.isdisjoint(_AGES | _FORBIDDING):
        if b"expires" not in fields and b"last-modified" not in fields:
            return fields
        # Either may give longer than a moment, or nothing at all, which isn't ours to lengthen.
        said.append(b"no-cache")
    return _said(fields, b", ".join(said))


_FOR_SHARED_CACHES: Final = frozenset({b"public", b"s-maxage", b"proxy-revalidate"})
_FORBIDDING: Final = frozenset({b"no-cache", b"no-store", b"private"})
_CLAIMING: Final = frozenset({b"public", b"max-age", b"s-maxage"})
_TARGETED: Final = frozenset(
    {b"cdn-cache-control", b"cloudflare-cdn-cache-control", b"surrogate-control"}
)
_OVERRULED: Final = _TARGETED | {b"expires", b"pragma"}


def _said(fields: Fields, value: bytes) -> Fields:
    """Return *fields* saying *value* and nothing else about caching."""
    return _replaced(fields, value, _OVERRULED)


def _replaced(fields: Fields, value: bytes, removed: frozenset[bytes]) -> Fields:
    return fields.without(removed).replaced(b"Cache-Control", value)


def _directives(fields: Fields) -> list[bytes]:
    """Return the directives of Cache-Control, which is what most caches after us read."""
    return lists.split(fields.get(b"cache-control") or b"")


def _name(directive: bytes) -> bytes:
    return directive.partition(b"=")[0].strip(b" \t").lower()


def _kept(fields: Fields, name: bytes) -> bytes | None:
    """Return the directive *name* of the origin's Cache-Control, as it stands there."""
    for directive in _directives(fields):
        if _name(directive) == name:
            return directive
    return None
