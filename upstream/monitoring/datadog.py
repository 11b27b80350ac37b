"""Telling Datadog's agent of each query, when there is one to tell (dogstatsd over UDP)."""

from datadog.dogstatsd.base import DogStatsd


class Datadog:
    """Sends to an agent; what it doesn't take is lost, and nobody waits for it."""

    def __init__(self, host: str, port: int) -> None:
        self._client = DogStatsd(
            host=host,
            port=port,
            namespace="hub",
            disable_telemetry=True,
            disable_buffering=True,
            max_buffer_len=1,
        )

    def query(self, kind: str, name: str, seconds: float, *, failed: bool) -> None:
        """Send the duration of one query, and its failure."""
        tags = [f"type:{kind}", f"query:{name}"]
        self._client.distribution("db.query.duration_ms", seconds * 1000, tags=tags)
        if failed:
            self._client.increment("db.query.errors", tags=tags)

    def close(self) -> None:
        """Send nothing more."""
        self._client.close_socket()
