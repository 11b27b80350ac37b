"""How the library h2 is set up: what a client may send before anybody has looked at it."""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    StreamReset,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.settings import SettingCodes, Settings

from gateway.edge.h2_stream import Stream

_MOST_STREAMS = 100
_WINDOW_BYTES = 256 * 1024
"""What a client may send of a body before the origin has taken any."""
_FRAME_BYTES = 16 * 1024
_CONFIGURATION = H2Configuration(
    client_side=False,
    header_encoding=None,
    # What we send was held against the grammar when it came, and is in lower case: looking
    # again would cost a sixth of all a hit costs.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


def set_up(header_bytes: int) -> H2Connection:
    """Return a server's side, its settings ready to send; *header_bytes* bound a section."""
    frames = H2Connection(_CONFIGURATION)
    frames.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS,
            SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
            SettingCodes.MAX_FRAME_SIZE: _FRAME_BYTES,
            SettingCodes.MAX_HEADER_LIST_SIZE: header_bytes,
        },
    )
    frames.decoder.max_header_list_size = header_bytes
    frames.initiate_connection()
    frames.increment_flow_control_window(_WINDOW_BYTES)
    return frames


def is_nuisance(event: Event, streams: dict[int, Stream]) -> bool:
    """Return whether *event* costs us more than the client that caused it, and helps nobody.

    A client may well do so now and then; who does it all the time is up to something.
    """
    match event:
        case DataReceived():
            return not event.data and event.stream_ended is None
        case StreamReset():
            stream = streams.get(event.stream_id or 0)
            return stream is None or not stream.answered
        case WindowUpdated():
            return not any(stream.wants_to_send for stream in streams.values())
        case PingReceived() | RemoteSettingsChanged() | PriorityUpdated() | UnknownFrameReceived():
            return True
        case _:
            return False
