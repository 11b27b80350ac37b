"""What a write leaves behind: a line in the audit log, and an event for those who watch.

The line's number is the event's, so that a reader who comes back can ask for what followed.
"""

from upstream.events import Event, notify
from upstream.identity import Identity
from upstream.pool import Connection
from upstream.queries_of_writes import WRITE_RECORDED


async def record(connection: Connection, identity: Identity, action: str, subject: str) -> None:
    """Write both inside the transaction on *connection*: they happen if the write does.

    Comes last in the transaction: from here on, others of the organization wait for it.
    """
    await record_for(connection, identity.org_id, identity.user_id, action, subject)


async def record_for(
    connection: Connection, org_id: int, user_id: int | None, action: str, subject: str
) -> None:
    """Do the same for *user_id*; None when no person acted, as for a webhook."""
    number = await connection.fetchval(WRITE_RECORDED.sql, org_id, user_id, action, "INFO", subject)
    await notify(connection, Event(org_id, action, subject, number))
