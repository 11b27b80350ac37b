"""The procedures that change something: what each takes, does, and makes wrong."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

import asyncpg
import msgspec
from msgspec import Meta

from upstream import queries_of_writes as writes
from upstream.answers import decode
from upstream.errors import ApiError, forbidden, not_found
from upstream.handlers import audit
from upstream.identity import Identity
from upstream.pool import Connection, Pool

Input = TypeVar("Input")

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Done:
    """What a write answers with, and the cache groups that it made wrong."""

    data: Any
    invalidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mutation(Generic[Input]):
    """One procedure that writes, within a transaction, for an identity that may."""

    takes: type[Input]
    act: Callable[[Connection, Identity, Input], Awaitable[Done]]

    async def run(self, pool: Pool, identity: Identity, raw: bytes) -> Done:
        """Act on the JSON in *raw*; ApiError names the field that is at fault."""
        wanted = decode(raw, self.takes)
        if not identity.may_write:
            raise forbidden("viewers change nothing")
        async with pool.transaction() as connection:
            return await self.act(connection, identity, wanted)


class IssueInput(
    msgspec.Struct, kw_only=True, frozen=True, rename="camel", forbid_unknown_fields=True
):
    """Which issue is meant."""

    issue_id: Id


class RunInput(
    msgspec.Struct, kw_only=True, frozen=True, rename="camel", forbid_unknown_fields=True
):
    """Which project Autopilot is to look at."""

    project_id: Id


async def resolve_issue(connection: Connection, identity: Identity, wanted: IssueInput) -> Done:
    """Mark an issue as resolved; one that is resolved already stays as it is."""
    before = await _locked_issue(connection, identity, wanted)
    if before["status"] == "resolved":
        return Done(dict(before), ())
    after = await connection.fetchrow(writes.ISSUE_RESOLVE.sql, wanted.issue_id, identity.org_id)
    assert after is not None
    await connection.execute(
        writes.ROLLUP_RESOLVED.sql, identity.org_id, after["projectId"], after["resolvedAt"]
    )
    return await _issue_changed(connection, identity, "issue.resolved", after)


async def reopen_issue(connection: Connection, identity: Identity, wanted: IssueInput) -> Done:
    """Take a resolution back; an open issue stays as it is."""
    before = await _locked_issue(connection, identity, wanted)
    if before["status"] == "open":
        return Done(dict(before), ())
    after = await connection.fetchrow(writes.ISSUE_REOPEN.sql, wanted.issue_id, identity.org_id)
    assert after is not None
    await connection.execute(
        writes.ROLLUP_REOPENED.sql, identity.org_id, after["projectId"], before["resolvedAt"]
    )
    return await _issue_changed(connection, identity, "issue.reopened", after)


async def start_run(connection: Connection, identity: Identity, wanted: RunInput) -> Done:
    """Queue a run of Autopilot; one that waits already is enough."""
    # Locked, so that of two who press the button at once only one queues a run.
    project = await connection.fetchrow(
        writes.RUN_PROJECT_LOCK.sql, wanted.project_id, identity.org_id
    )
    if project is None:
        raise not_found("your organization has no project with this id")
    if project["status"] != "active":
        raise _conflict("archived", "the project is archived: activate it first")
    waiting = await connection.fetchval(writes.RUN_WAITING.sql, wanted.project_id, identity.org_id)
    if waiting is not None:
        raise _conflict("exists", f"run {waiting} of this project is waiting already")
    row = await connection.fetchrow(writes.RUN_START.sql, wanted.project_id, identity.org_id)
    assert row is not None
    await connection.execute(writes.ROLLUP_RUN.sql, identity.org_id, wanted.project_id)
    await audit.record(connection, identity, "run.started", f"run:{row['id']}")
    return Done(dict(row), _groups(identity, wanted.project_id))


async def _locked_issue(
    connection: Connection, identity: Identity, wanted: IssueInput
) -> asyncpg.Record:
    row = await connection.fetchrow(writes.ISSUE_LOCK.sql, wanted.issue_id, identity.org_id)
    if row is None:
        raise not_found("your organization has no issue with this id")
    return row


async def _issue_changed(
    connection: Connection, identity: Identity, action: str, row: asyncpg.Record
) -> Done:
    await audit.record(connection, identity, action, f"issue:{row['id']}")
    return Done(dict(row), _groups(identity, row["projectId"]))


def _groups(identity: Identity, project_id: int) -> tuple[str, ...]:
    return f"org:{identity.org_id}", f"project:{project_id}"


def _conflict(code: str, message: str) -> ApiError:
    return ApiError(HTTPStatus.CONFLICT, code, message, field="projectId")


MUTATIONS: dict[str, Mutation[Any]] = {
    "insight.resolveIssue": Mutation(IssueInput, resolve_issue),
    "insight.reopenIssue": Mutation(IssueInput, reopen_issue),
    "autopilot.startRun": Mutation(RunInput, start_run),
}
