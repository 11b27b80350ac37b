"""From a rules file to the snapshot that the edge obeys.

`examine` reads a file, reports everything that is wrong with it at once, and builds what
can be built; `load` is for those who need the snapshot or an error, such as `serve`. This
is where the operator's words and the specification's words meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.config import document, doubts, include, listening, routes, spec, tiers
from gateway.config import spec_writes as writes
from gateway.config.environment import switched_on
from gateway.config.findings import Findings, Place, Severity, quoted, render
from gateway.config.origins import build as build_origins
from gateway.config.reach import report_unreachable
from gateway.config.routes import Effective, warn_about_scopes
from gateway.config.shapes import Refused
from gateway.config.spec_listen import LIMITS, LISTEN
from gateway.config.spec_tests import TESTS
from gateway.config.tables import Setting, Settings
from gateway.edge.snapshot import Snapshot
from gateway.errors import ConfigurationError
from gateway.policy.invalidation import is_safe
from gateway.routing.identity import BadKeySet, IdentityVerifier, KeySet, OrgProof
from gateway.routing.table import ApiPassed, RouteTable
from gateway.routing.writes import OnWrite

SWITCH = "DISABLE_API_CACHE"
"""The variable that switches caching under /api off, whatever the rules say."""
COMPRESSION_SWITCH = "DISABLE_COMPRESSION"
"""The variable that leaves every body in the coding that its origin gave it."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a rules file holds, and what is to be said about it."""

    findings: Findings
    snapshot: Snapshot | None
    """None when there are errors."""
    routes: tuple[Effective, ...]
    """In the order of the file, the implied one last; none when there are errors."""
    api_passed: bool
    """Is caching under /api switched off?"""
    tests: tuple[Setting[Settings], ...] = ()
    """What stands under `tests`, in this file and in those that it includes."""
    included: Mapping[str, bytes] = field(default_factory=dict)
    """What the files have that it includes, by path."""


def load(
    path: Path,
    environ: Mapping[str, str],
    origin_override: str | None,
    content: bytes | None = None,
    included: Mapping[str, bytes] | None = None,
) -> Snapshot:
    """Return what the rules at *path* say.

    *origin_override*, a URL, replaces the servers of the default origin; None leaves them.
    *content* is what was read at *path* before, *included* what was read in the files that it
    includes, by path; None reads it now.

    Raises:
        ConfigurationError: the file can't be used; the text lists every error with its place.

    """
    examined = examine(path, environ, origin_override, content, included)
    if examined.snapshot is None:
        raise ConfigurationError(
            render(each for each in examined.findings if each.severity is Severity.ERROR)
        )
    return examined.snapshot


def read(path: Path) -> bytes:
    """Return what stands at *path*, one byte more at most than rules may have."""
    with path.open("rb") as file:
        return file.read(document.LARGEST_BYTES + 1)


def examine(
    path: Path,
    environ: Mapping[str, str],
    origin_override: str | None,
    content: bytes | None = None,
    included: Mapping[str, bytes] | None = None,
) -> Examined:
    """Say everything there is to say about the rules at *path*; arguments as of `load`."""
    findings = Findings()
    api_passed = _switched(SWITCH, environ, findings)
    uncompressed = _switched(COMPRESSION_SWITCH, environ, findings)
    try:
        if content is None:
            content = read(path)
    except OSError as error:
        findings.error(None, f"{path} can't be read", error.strerror)
        return Examined(findings, None, (), api_passed)
    source, node = document.parse(content, str(path), environ, findings)
    if node is None or (isinstance(node, document.Scalar) and node.is_nothing):
        if not findings.failed:
            findings.error(
                Place(source, 1, 1), "the file is empty", 'the smallest file is "version: 1"'
            )
        return Examined(findings, None, (), api_passed)
    try:
        root = spec.ROOT.read(node, "", findings)
    except Refused:
        return Examined(findings, None, (), api_passed)
    further = include.read(root, path, environ, findings, included)
    return _build(
        root,
        further,
        path.parent,
        origin_override,
        findings,
        api_passed=api_passed,
        uncompressed=uncompressed,
    )


def _switched(name: str, environ: Mapping[str, str], findings: Findings) -> bool:
    try:
        return switched_on(name, environ)
    except ValueError as error:
        findings.error(None, str(error))
        return False


def _build(
    root: Settings,
    included: include.Included,
    folder: Path,
    origin_override: str | None,
    findings: Findings,
    *,
    api_passed: bool,
    uncompressed: bool,
) -> Examined:
    origins, default_origin = build_origins(root, folder, origin_override, findings)
    written, fallback = routes.build(
        root, included.routes, default_origin, tuple(origins), findings
    )
    if uncompressed:
        written, fallback = [_as_it_comes(each) for each in written], _as_it_comes(fallback)
    identity, users, orgs = _identity(root, folder, included, findings)
    memory_bytes, object_bytes = tiers.memory(root, findings)
    below = tiers.below(root, folder, findings)
    limits = listening.limits(root.get(LIMITS), findings)
    how = listening.listening(root.get(LISTEN), folder, findings)
    on_write = _on_write(root, findings)
    if not findings.failed:  # a route that lost a bad path isn't itself
        report_unreachable(written, findings)
    warn_about_scopes(written, users=users, orgs=orgs, findings=findings)
    doubts.report(written, users=users, orgs=orgs, findings=findings)
    if findings.failed:
        return Examined(findings, None, (), api_passed, included=included.files)
    table = (ApiPassed if api_passed else RouteTable)(
        [each.route for each in written], fallback.route
    )
    snapshot = Snapshot(
        routes=table,
        origins=origins,
        identity=identity,
        memory_bytes=memory_bytes,
        object_bytes=object_bytes,
        limits=limits,
        listening=how,
        on_write=on_write,
        tiers=below,
        database=_database(root),
        warm=tiers.warm(root),
        cdn=tiers.cdn(root),
    )
    return Examined(
        findings,
        snapshot,
        (*written, fallback),
        api_passed,
        (*(root.get(TESTS) or ()), *included.tests),
        included.files,
    )


def _as_it_comes(effective: Effective) -> Effective:
    return replace(effective, route=replace(effective.route, compression=None))


def _database(root: Settings) -> str | None:
    written = root.get(writes.INVALIDATE_FROM)
    return None if written is None else written.get(writes.DATABASE) or None


def _on_write(root: Settings, findings: Findings) -> tuple[OnWrite, ...]:
    found = []
    for each in root.get(writes.INVALIDATE) or ():
        written: Settings = each.value
        when = written.get(writes.WHEN)
        methods = () if when is None else when.get(writes.METHODS) or ()
        for method in methods:
            if is_safe(method.value.encode("ascii")):
                findings.error(
                    method.place,
                    f"{method.value} changes nothing, and any page can be made to send it",
                    "name methods such as POST",
                )
        found.append(
            OnWrite(
                paths=tuple(path.value for path in (when and when.get(writes.PATH)) or ()),
                groups=tuple(group.value for group in written.get(writes.GROUPS) or ()),
                methods=frozenset(method.value for method in methods),
                hard=written.get(writes.MODE) == "hard",
            )
        )
    return tuple(found)


def _identity(
    root: Settings, folder: Path, included: include.Included, findings: Findings
) -> tuple[IdentityVerifier, bool, bool]:
    """Return the verifier, and whether it can know users and organisations."""
    table = root.get(spec.IDENTITY)
    user = None if table is None else table.get(spec.USER)
    org = None if table is None else table.get(spec.ORG)
    cookie = None if user is None else user.get(spec.USER_COOKIE)
    proof = None if org is None else _org_proof(org, folder, included, findings)
    return IdentityVerifier(cookie, proof), cookie is not None, proof is not None


def _org_proof(
    org: Settings, folder: Path, included: include.Included, findings: Findings
) -> OrgProof | None:
    claim, cookie, keys = org.get(spec.ORG_CLAIM), org.get(spec.ORG_COOKIE), org.get(spec.ORG_KEYS)
    if claim is None or cookie is None or not keys:
        return None
    place = org.place_of(spec.ORG_KEYS)
    text = keys.strip()
    if not text.startswith(("{", "[")):
        try:
            text = included.take(folder / keys).decode("utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            findings.error(
                place,
                f"identity.org.keys: {quoted(keys)} can't be read: {reason}",
                "give a JSON Web Key Set, or the path of one, relative to this file",
            )
            return None
    try:
        return OrgProof(cookie, claim, KeySet.from_json(text))
    except BadKeySet as error:
        findings.error(place, f"identity.org.keys: {error}")
        return None
