"""From the keys of a route other than `cache` to what the gateway does with its requests."""

from collections.abc import Mapping
from typing import TypedDict

from gateway.config import spec_routes as spec
from gateway.config.delivery import compression, hints, images
from gateway.config.findings import Findings, quoted
from gateway.config.limits import rate_limits
from gateway.config.tables import Setting, Settings
from gateway.policy.images import Images
from gateway.policy.negotiation import Compression
from gateway.policy.rate import RateLimit
from gateway.routing.access import AccessList
from gateway.routing.answers import SAME_BY_HTTPS, Redirect, Respond, Rewrite
from gateway.routing.changes import UNCHANGED, FieldChanges, changes
from gateway.routing.conditions import Conditions
from gateway.routing.route import Hinting, Route, RouteTimeouts
from gateway.routing.values import ABSENT, ValueTest
from gateway.wire.fields import Fields, line


class Inherited(TypedDict):
    """What defaults may say, too."""

    request_fields: FieldChanges
    response_fields: FieldChanges
    access: tuple[AccessList, ...]
    body_limit: int | None
    compression: Compression | None
    images: Images | None
    hints: Hinting | None
    rate_limits: tuple[RateLimit, ...]
    cdn: bool


class Treatment(Inherited):
    """What a route alone says."""

    answer: Respond | Redirect | None
    rewrite: Rewrite | None
    timeouts: RouteTimeouts | None
    purge: AccessList | None


def of_defaults(table: Settings | None) -> Inherited:
    """Return what *table*, the defaults, means for a route that says nothing itself."""
    return {
        "request_fields": _changes(table, None, spec.REQUEST_HEADERS.name),
        "response_fields": _changes(table, None, spec.RESPONSE_HEADERS.name),
        "access": _access(table),
        "body_limit": None if table is None else table.get(spec.MAX_BODY),
        "compression": compression(table, None),
        "images": images(table, None),
        "hints": hints(table, None),
        "rate_limits": rate_limits(table, "default") or (),
        "cdn": table is not None and table.get(spec.CDN) is True,
    }


def of_route(table: Settings, defaults: Settings | None, name: str) -> Treatment:
    """Return what the *table* of a route means on top of *defaults*, for the route *name*.

    Access lists add up: a route can't let in whom the defaults keep out.
    """
    inherited = of_defaults(defaults)
    own_limit = table.get(spec.MAX_BODY)
    limits = rate_limits(table, name)
    own_cdn = table.get(spec.CDN)
    return {
        "request_fields": _changes(table, defaults, spec.REQUEST_HEADERS.name),
        "response_fields": _changes(table, defaults, spec.RESPONSE_HEADERS.name),
        "access": (*inherited["access"], *_access(table)),
        "body_limit": inherited["body_limit"] if own_limit is None else own_limit,
        "compression": compression(table, defaults),
        "images": images(table, defaults),
        "hints": hints(table, defaults),
        "rate_limits": inherited["rate_limits"] if limits is None else limits,
        "cdn": inherited["cdn"] if own_cdn is None else own_cdn,
        "answer": _answer(table),
        "rewrite": _rewrite(table),
        "timeouts": _timeouts(table),
        "purge": _list(table.get(spec.PURGE)),
    }


def conditions(table: Settings, match: Settings | None) -> Conditions | None:
    """Return what a route asks besides path and method; None for nothing."""
    if match is None:
        return None
    found = Conditions(
        hosts=tuple(host.value for host in match.get(spec.HOST) or ()),
        headers=_tests(match.get(spec.HEADER), lower=True),
        cookies=_tests(match.get(spec.COOKIE), lower=False),
        query=_tests(match.get(spec.QUERY), lower=False),
        path_regex=match.get(spec.PATH_REGEX),
        secure=None if (scheme := match.get(spec.SCHEME)) is None else scheme == "https",
        excepted=tuple(path.value for path in table.get(spec.EXCEPT) or ()),
    )
    return None if found == Conditions() else found


def judge(route: Route, table: Settings, findings: Findings) -> None:
    """Report what one route can't be at once."""
    answers = [
        key for key in (spec.RESPOND, spec.REDIRECT, spec.REWRITE) if key.name in table.values
    ]
    if len(answers) > 1:
        names = " and ".join(quoted(key.name) for key in answers)
        findings.error(
            table.place_of(answers[1]), f"{names} exclude one another", "choose one of them"
        )
    if table.get(spec.EXCEPT) is not None and route.cache.enabled:
        findings.error(
            table.place_of(spec.EXCEPT),
            'except belongs to a route with "cache: off": others give way by their order',
            "put a route for these paths before this one",
        )
    circular = route.when is None or route.when.secure is not False
    if isinstance(route.answer, Redirect) and route.answer.to == SAME_BY_HTTPS and circular:
        findings.error(
            table.place_of(spec.REDIRECT),
            "redirect: https would send requests by https round in circles",
            "add scheme: http to match",
        )
    if route.answer is not None and isinstance(route.answer, Respond):
        bodiless = route.answer.status in (204, 304)
        if bodiless and route.answer.body:
            findings.error(
                table.place_of(spec.RESPOND),
                f"a {route.answer.status} has no body",
                "leave the body out",
            )


def _tests(
    written: Mapping[str, Setting[tuple[Setting[str], ...]]] | None, *, lower: bool
) -> tuple[ValueTest, ...]:
    return tuple(
        ValueTest(
            (name.lower() if lower else name).encode("utf-8"),
            tuple(dict.fromkeys(value.value for value in values.value)),
        )
        for name, values in (written or {}).items()
    )


def is_absence(test: ValueTest) -> bool:
    """Return whether *test* asks for nothing but that there is no value."""
    return test.patterns == (ABSENT,)


def _changes(over: Settings | None, base: Settings | None, name: str) -> FieldChanges:
    removed: dict[str, None] = {}
    added: dict[str, tuple[str, str]] = {}
    for table in (base, over):
        setting = None if table is None else table.values.get(name)
        if setting is None:
            continue
        written: Settings = setting.value
        for field in written.get(spec.REMOVE) or ():
            removed[field.value] = None
            added.pop(field.value.lower(), None)
        for field_name, value in (written.get(spec.SET) or {}).items():
            added[field_name.lower()] = (field_name, value.value)
    if not removed and not added:
        return UNCHANGED
    return changes(tuple(removed), tuple(added.values()))


def _access(table: Settings | None) -> tuple[AccessList, ...]:
    found = _list(None if table is None else table.get(spec.ACCESS))
    return () if found is None else (found,)


def _list(written: Settings | None) -> AccessList | None:
    if written is None:
        return None
    return AccessList(
        allow=tuple(network.value for network in written.get(spec.ALLOW) or ()),
        deny=tuple(network.value for network in written.get(spec.DENY) or ()),
    )


def _answer(table: Settings) -> Respond | Redirect | None:
    respond = table.get(spec.RESPOND)
    if respond is not None:
        status = respond.get(spec.RESPOND_STATUS)
        body = (respond.get(spec.BODY) or "").encode("utf-8")
        kind = respond.get(spec.CONTENT_TYPE) or spec.CONTENT_TYPE.default or ""
        fields = Fields([line(b"Content-Type", kind.encode("ascii"))]) if body else Fields()
        return Respond(200 if status is None else status, body, fields)
    redirect = table.get(spec.REDIRECT)
    if redirect is None:
        return None
    if isinstance(redirect, str):
        return Redirect(redirect)
    return Redirect(
        redirect.get(spec.TO) or "/",
        int(redirect.get(spec.REDIRECT_STATUS) or 301),
        keeps_query=redirect.get(spec.QUERY_KEPT) != "drop",
    )


def _rewrite(table: Settings) -> Rewrite | None:
    to = table.get(spec.REWRITE)
    return None if to is None else Rewrite(to)


def _timeouts(table: Settings) -> RouteTimeouts | None:
    written = table.get(spec.TIMEOUTS)
    if written is None:
        return None
    return RouteTimeouts(
        first_byte=written.get(spec.ROUTE_FIRST_BYTE),
        between_bytes=written.get(spec.ROUTE_BETWEEN_BYTES),
        total=written.get(spec.ROUTE_TOTAL),
    )
