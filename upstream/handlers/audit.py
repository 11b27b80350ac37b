"""What a write leaves behind: a line in the audit log, and an event for those who watch."""

from upstream import queries
from upstream.events import Event, notify
from upstream.identity import Identity
from upstream.pool import Connection


async def record(connection: Connection, identity: Identity, action: str, subject: str) -> None:
    """Write both inside the transaction on *connection*: they happen if the write does."""
    await connection.execute(
        queries.AUDIT.sql, identity.org_id, identity.user_id, action, "INFO", subject
    )
    await notify(connection, Event(identity.org_id, action, subject))
