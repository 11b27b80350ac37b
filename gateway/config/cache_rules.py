"""From the keys under `cache` to the rules that policy goes by."""

from typing import TypedDict

from gateway.config import spec
from gateway.config.findings import Findings
from gateway.config.tables import Key, Setting, Settings
from gateway.policy.rules import CacheRules, Heuristic, QueryRules, Scope


def cache_rules(
    setting: Setting[Settings | str] | None, base: CacheRules, findings: Findings
) -> CacheRules:
    """Return the rules that *setting* means, where *base* holds for what it is silent about."""
    if setting is None:
        return base
    cache = setting.value
    if isinstance(cache, str):
        return CacheRules(enabled=False)
    ttl = cache.get(spec.TTL)
    scope = cache.get(spec.SCOPE)
    lifetimes = cache.get(spec.STATUS_TTL) or {}
    return CacheRules(
        scope=base.scope if scope is None else Scope(scope),
        lifetime=ttl if isinstance(ttl, float) else None,
        browser_lifetime=cache.get(spec.BROWSER_TTL),
        immutable=cache.get(spec.IMMUTABLE) or False,
        status_lifetimes={int(status): one.value for status, one in lifetimes.items()},
        query=_query_rules(cache),
        key_headers=_key_names(cache, spec.KEY_HEADERS, lower=True),
        key_cookies=_key_names(cache, spec.KEY_COOKIES, lower=False),
        stale_while_revalidate=cache.get(spec.STALE_WHILE_REVALIDATE),
        **_stale_if_error(cache, base),
        stale_if_gone=cache.get(spec.STALE_IF_GONE),
        jitter=cache.get(spec.JITTER) or 0.0,
        heuristic=_heuristic(cache, base),
        early_refresh=1.0 if cache.get(spec.EARLY_REFRESH) else 0.0,
        whole_for_range=cache.get(spec.WHOLE_FOR_RANGE) or False,
        content_types=tuple(one.value.lower() for one in cache.get(spec.CONTENT_TYPES) or ()),
        overrides=_overrides(cache, findings),
        **_vary(cache),
    )


class _StaleIfError(TypedDict):
    stale_if_error_for: float | None
    stale_if_error_after: float | None


def _stale_if_error(cache: Settings, base: CacheRules) -> _StaleIfError:
    written = cache.get(spec.STALE_IF_ERROR)
    if isinstance(written, Settings):
        return {
            "stale_if_error_for": written.get(spec.FOR),
            "stale_if_error_after": written.get(spec.AFTER),
        }
    return {
        "stale_if_error_for": base.stale_if_error_for if written is None else written,
        "stale_if_error_after": None,
    }


def _heuristic(cache: Settings, base: CacheRules) -> Heuristic | None:
    written = cache.get(spec.HEURISTIC)
    if written is None:
        return base.heuristic
    if isinstance(written, str):
        return None
    usual = Heuristic()
    fraction = written.get(spec.FRACTION)
    return Heuristic(
        fraction=usual.fraction if fraction is None else fraction,
        most=written.get(spec.MOST) or usual.most,
    )


def _key_names(
    cache: Settings, key: Key[tuple[Setting[str], ...]], *, lower: bool
) -> tuple[bytes, ...]:
    table = cache.get(spec.KEY)
    names = () if table is None else table.get(key) or ()
    each = [name.value.lower() if lower else name.value for name in names]
    return tuple(name.encode("ascii") for name in dict.fromkeys(each))


def _query_rules(cache: Settings) -> QueryRules:
    key = cache.get(spec.KEY)
    query = None if key is None else key.get(spec.QUERY)
    if query is None:
        return QueryRules()
    only = query.get(spec.ONLY)
    return QueryRules(
        sort=query.get(spec.SORT) or False,
        ignore=tuple(name.value for name in query.get(spec.IGNORE) or ()),
        only=None if only is None else tuple(name.value for name in only),
    )


def _overrides(cache: Settings, findings: Findings) -> frozenset[str]:
    words = cache.get(spec.OVERRIDE)
    because = cache.get(spec.BECAUSE)
    if words and because is None:
        findings.error(
            cache.place_of(spec.OVERRIDE),
            "an override needs a reason, for whoever reads this next",
            'add because: "..." beside it',
        )
    if because is not None and not words and not findings.failed:
        findings.warning(
            cache.place_of(spec.BECAUSE),
            "because explains an override, and there is none",
            "add override, or remove it",
        )
    return frozenset(word.value for word in words or ())


class _Vary(TypedDict):
    vary_exact: frozenset[bytes]
    vary_bypass: frozenset[bytes]


def _vary(cache: Settings) -> _Vary:
    written = cache.get(spec.VARY) or {}
    # A route's spelling of a field's name may be another than that of the defaults.
    actions = {name.lower().encode("ascii"): action.value for name, action in written.items()}
    return {
        "vary_exact": frozenset(name for name, action in actions.items() if action == "exact"),
        "vary_bypass": frozenset(name for name, action in actions.items() if action == "bypass"),
    }


def groups(setting: Setting[Settings | str] | None) -> tuple[str, ...]:
    """Return the templates of the groups that *setting* puts responses in."""
    if setting is None or isinstance(setting.value, str):
        return ()
    return tuple(dict.fromkeys(group.value for group in setting.value.get(spec.GROUPS) or ()))


def because(setting: Setting[Settings | str] | None) -> str:
    """Return why *setting* overrides the origin; empty where it doesn't."""
    if setting is None or isinstance(setting.value, str):
        return ""
    return setting.value.get(spec.BECAUSE) or ""
