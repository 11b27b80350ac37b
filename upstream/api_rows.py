"""What the API's answers look like, for its description.

The rows themselves come straight from the database; these types only tell of them, and the
tests hold real answers against them.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from upstream.pagination import Pagination


class _Row(msgspec.Struct, kw_only=True, rename="camel"):
    """What all rows share."""


class Issue(_Row):
    """Something that Insight found."""

    id: int
    project_id: int
    project_name: str
    detector: str
    severity: Literal["low", "medium", "high", "critical"]
    message: str
    file_path: str
    line: int
    status: Literal["open", "resolved"]
    resolved_at: datetime | None
    created_at: datetime


class Run(_Row):
    """A run of Autopilot."""

    id: int
    project_id: int
    project_name: str
    status: Literal["queued", "running", "success", "failed"]
    trigger: Literal["schedule", "push", "manual"]
    files_changed: int
    issues_fixed: int
    duration_ms: int | None
    created_at: datetime


class Test(_Row):
    """A test of Guardian, with scores from 0 to 100."""

    id: int
    project_id: int
    project_name: str
    url: str
    status: Literal["passed", "failed"]
    performance: int
    accessibility: int
    security: int
    duration_ms: int
    created_at: datetime


class Project(_Row):
    """A repository that the hub looks after."""

    id: int
    slug: str
    name: str
    language: str
    repository_url: str | None
    status: Literal["active", "archived"]
    created_at: datetime
    updated_at: datetime


class Organization(_Row):
    """A customer, and what the caller may do there."""

    id: int
    slug: str
    name: str
    plan: Literal["free", "team", "business", "enterprise"]
    created_at: datetime
    updated_at: datetime
    role: Literal["owner", "admin", "member", "viewer"]


class ApiKey(_Row):
    """An API key, without the key itself."""

    id: int
    name: str
    prefix: str
    created_at: datetime


class NewApiKey(ApiKey, kw_only=True):
    """An API key that has just been made; nobody will see the key again."""

    key: str


class ApiKeys(msgspec.Struct):
    """The caller's API keys in this organization."""

    data: list[ApiKey]


class ApiKeyOfOrganization(ApiKey, kw_only=True):
    """An API key that works, and whose it is."""

    user_id: int


class OwnSession(_Row):
    """A place where the caller is logged in."""

    id: int
    user_agent: str
    created_at: datetime
    expires_at: datetime


class Deed(_Row):
    """Something that the caller did."""

    id: int
    org_id: int
    action: str
    target: str
    created_at: datetime


class Activity(_Row):
    """The caller's sessions and last deeds; for admins, the keys of the organization too."""

    sessions: list[OwnSession]
    recent: list[Deed]
    api_keys_of_organization: list[ApiKeyOfOrganization]


class Member(_Row):
    """Somebody whose home the organization is."""

    id: int
    name: str
    email: str
    active: bool


class Members(msgspec.Struct):
    """A part of the list."""

    data: list[Member]
    pagination: Pagination


class AuditEntry(_Row):
    """Something that was done in the organization."""

    id: int
    user_id: int | None
    action: str
    severity: Literal["INFO", "WARNING", "ERROR", "CRITICAL"]
    target: str
    created_at: datetime


class AuditEntries(msgspec.Struct):
    """A part of the log, the newest first."""

    data: list[AuditEntry]
    pagination: Pagination


class RevokedKey(msgspec.Struct):
    """A key that is worthless now."""

    id: int
    revoked: Literal[True]


class SessionUser(msgspec.Struct):
    """Who is logged in."""

    id: int
    email: str
    name: str


class SessionOrganization(msgspec.Struct):
    """Where the session acts."""

    id: int
    name: str
    slug: str
    role: Literal["owner", "admin", "member", "viewer"]


class Session(msgspec.Struct):
    """Who is logged in and where; both null when nobody is."""

    user: SessionUser | None
    organization: SessionOrganization | None


class Subscription(_Row):
    """What the organization pays for."""

    customer_id: str
    plan: Literal["free", "team", "business", "enterprise"]
    status: Literal["trialing", "active", "past_due", "unpaid", "canceled"]
    seats: int
    current_period_end: datetime
    updated_at: datetime


class Portal(_Row):
    """Where an owner changes the subscription."""

    url: str
    customer_id: str


class Received(msgspec.Struct):
    """An event of the payment provider that was taken; *repeated* when it was known already."""

    received: Literal[True]
    repeated: bool


class DatabaseHealth(_Row):
    """Whether the database answers."""

    ok: bool
    message: str | msgspec.UnsetType = msgspec.UNSET
    version: str | msgspec.UnsetType = msgspec.UNSET
    latency_ms: float | msgspec.UnsetType = msgspec.UNSET


class Health(msgspec.Struct):
    """Whether this hub should be sent requests."""

    status: Literal["ok", "busy", "unavailable"]
    version: str
    database: DatabaseHealth


class KeySet(msgspec.Struct):
    """A JWK Set (RFC 7517)."""

    keys: list[dict[str, Any]]


class IssueState(_Row):
    """An issue after a write."""

    id: int
    project_id: int
    status: Literal["open", "resolved"]
    resolved_at: datetime | None


class NewRun(_Row):
    """A run that waits to begin."""

    id: int
    project_id: int
    status: Literal["queued"]
    trigger: Literal["manual"]
    created_at: datetime


class Issues(msgspec.Struct):
    """A part of the list."""

    data: list[Issue]
    pagination: Pagination


class Runs(msgspec.Struct):
    """A part of the list."""

    data: list[Run]
    pagination: Pagination


class Tests(msgspec.Struct):
    """A part of the list."""

    data: list[Test]
    pagination: Pagination


class Projects(msgspec.Struct):
    """A part of the list."""

    data: list[Project]
    pagination: Pagination


class Organizations(msgspec.Struct):
    """A part of the list."""

    data: list[Organization]
    pagination: Pagination


class ErrorDetail(msgspec.Struct):
    """What went wrong: *code* for programs, *message* for people, *field* the input at fault."""

    code: str
    message: str
    field: str | None


class Error(msgspec.Struct):
    """An error of the plain routes."""

    error: ErrorDetail


class TrpcErrorData(msgspec.Struct, rename="camel", omit_defaults=True):
    """What tRPC's clients look at."""

    code: str
    http_status: int
    path: str
    field: str = ""


class TrpcErrorDetail(msgspec.Struct):
    """What went wrong, with JSON-RPC's number."""

    message: str
    code: int
    data: TrpcErrorData


class TrpcError(msgspec.Struct):
    """An error of a procedure."""

    error: TrpcErrorDetail
