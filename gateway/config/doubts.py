"""What is legal in rules and surely not meant: each a warning, never an error.

A warning tells what the rule does in truth. It is given only where no reading of the rule
would make it useful; what might be meant is left alone.
"""

from collections.abc import Collection, Iterable

from gateway.config import spec
from gateway.config import spec_routes as routing
from gateway.config.findings import Findings, quoted
from gateway.config.routes import Effective
from gateway.config.spec_images import IMAGES
from gateway.config.tables import Settings
from gateway.policy.rules import Scope
from gateway.routing import glob, templates
from gateway.routing.access import AccessList
from gateway.routing.answers import Redirect

_CREDENTIALS = frozenset({b"cookie", b"authorization"})


def report(routes: Collection[Effective], *, users: bool, orgs: bool, findings: Findings) -> None:
    """Warn of what *routes* do in vain; *users* and *orgs* tell which identities are verified."""
    for effective in routes:
        written = effective.settings
        if written is None or effective.place is None:
            continue
        _answered_here(effective, written, findings)
        _pictures_of_nothing(effective, written, findings)
        _nobody_admitted(effective, written, findings)
        cache = effective.cache
        if cache is not None and isinstance(cache.value, Settings):
            _never_a_read(effective, cache.value, findings)
            _groups(effective, cache.value, findings, users=users, orgs=orgs)
            _browsers(effective, cache.value, findings)
            _key(effective, cache.value, findings)


def _own(effective: Effective, table: Settings) -> bool:
    """Return whether *table* was written for this route, and isn't the defaults'."""
    place, begin = table.place, effective.place
    return begin is not None and place.source == begin.source and place.line >= begin.line


def _answered_here(effective: Effective, written: Settings, findings: Findings) -> None:
    answer = effective.route.answer
    if answer is None:
        return
    key = routing.REDIRECT if isinstance(answer, Redirect) else routing.RESPOND
    cache = effective.cache
    if cache is not None and isinstance(cache.value, Settings) and _own(effective, cache.value):
        findings.warning(
            written.place_of(spec.CACHE),
            f"cache does nothing beside {key.name}: the origin isn't asked",
            "remove it",
        )
    if isinstance(answer, Redirect) and _leads_back(effective, answer):
        findings.warning(
            written.place_of(routing.REDIRECT),
            f"{quoted(answer.to)} leads to this route again, without end",
            "redirect to a path that another route takes",
        )


def _leads_back(effective: Effective, redirect: Redirect) -> bool:
    """Return whether every client that follows *redirect* comes back to the same route."""
    route = effective.route
    to = redirect.to
    if route.when is not None or route.methods or not to.startswith(("/", "{")):
        return False
    if to == "{path}":
        return True
    if "{" in to:
        return False
    path = to.partition("?")[0].encode("ascii")
    return not route.paths or any(glob.matches(each, path) for each in route.paths)


def _pictures_of_nothing(effective: Effective, written: Settings, findings: Findings) -> None:
    route = effective.route
    if route.images is None or route.cache.enabled or IMAGES.name not in written.values:
        return
    findings.warning(
        written.place_of(IMAGES),
        "images does nothing with cache: off: what isn't kept is sent as it comes",
        "let the route cache, or remove it",
    )


def _nobody_admitted(effective: Effective, written: Settings, findings: Findings) -> None:
    access = written.get(routing.ACCESS)
    if access is None:
        return
    for each in effective.route.access:
        if each.allow and _denies_all(each):
            findings.warning(
                written.place_of(routing.ACCESS),
                "nobody may ask: deny takes away all that allow gives",
                "deny wins, whatever the order",
            )


def _denies_all(access: AccessList) -> bool:
    return all(
        any(
            allowed.version == denied.version
            and denied.prefixlen <= allowed.prefixlen
            and allowed.network_address in denied
            for denied in access.deny
        )
        for allowed in access.allow
    )


def _never_a_read(effective: Effective, cache: Settings, findings: Findings) -> None:
    methods = effective.route.methods
    if methods and not methods & {"GET", "HEAD"} and _own(effective, cache):
        named = " and ".join(sorted(methods))
        findings.warning(
            cache.place,
            f"nothing is stored for {named}: only what a GET brings is kept",
            'let the route take GET, or say "cache: off"',
        )


def _groups(
    effective: Effective, cache: Settings, findings: Findings, *, users: bool, orgs: bool
) -> None:
    scope = effective.route.cache.scope
    known = {"user": users, "org": orgs}
    for setting in cache.get(spec.GROUPS) or ():
        fields = templates.fields_of(setting.value)
        unknown = [name for name in fields if not known.get(name, True)]
        if unknown == [scope.value]:
            continue  # The route stores nothing, and that was said.
        if unknown:
            findings.warning(
                setting.place,
                f"the group {quoted(setting.value)} is never given: no {unknown[0]} is verified",
                f"add identity.{unknown[0]}, or leave it out",
            )
        elif scope is Scope.PUBLIC and {"user", "org"} & set(fields):
            findings.warning(
                setting.place,
                f"the group {quoted(setting.value)} depends on who happens to ask first: a public "
                "answer is for everybody",
                "name a group that doesn't depend on who asks, such as {route}",
            )


def _browsers(effective: Effective, cache: Settings, findings: Findings) -> None:
    rules = effective.route.cache
    silent = rules.browser_lifetime is None and rules.lifetime is not None
    if rules.immutable and (silent or rules.browser_lifetime == 0) and _own(effective, cache):
        findings.warning(
            cache.place_of(spec.IMMUTABLE),
            "immutable does nothing without a browser_ttl: it holds while browsers find it fresh",
            "add browser_ttl",
        )


def _key(effective: Effective, cache: Settings, findings: Findings) -> None:
    rules = effective.route.cache
    table = cache.get(spec.KEY)
    if table is None:
        return
    query = table.get(spec.QUERY)
    if query is not None and rules.query.only is not None:
        ignored = query.get(spec.IGNORE) or ()
        only = rules.query.only
        idle = [each for each in ignored if not _overlap(each.value, only)]
        if idle and _own(effective, query) and idle[0].place.line >= effective.route.line:
            findings.warning(
                idle[0].place,
                f"{quoted(idle[0].value)} is left out of the key anyway: key.query.only names "
                "what is in it",
                "remove it",
            )
    if rules.scope is Scope.PUBLIC:
        for name in table.get(spec.KEY_HEADERS) or ():
            if name.value.lower().encode("ascii") in _CREDENTIALS:
                findings.warning(
                    name.place,
                    f"{name.value} divides a public answer that the origin makes without it",
                    "name single cookies under key.cookies, or choose scope user",
                )


def _overlap(pattern: str, others: Iterable[str]) -> bool:
    """Return whether *pattern* may name a parameter that one of *others* names, too."""
    return any("*" in (pattern + other) or pattern == other for other in others)
