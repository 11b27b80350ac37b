"""The result of one run, as it is kept in `run.json`.  Nothing here measures."""

from pathlib import Path

import msgspec

from loadtest.distribution import Distribution
from loadtest.summary import Verdict

FILE = "run.json"


class RunError(Exception):
    """A run can't be read, or couldn't be made; the text is for the person at the terminal."""


class Times(msgspec.Struct, frozen=True):
    """How long answers took, in milliseconds; 0 without answers."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Distribution) -> "Times":
        """Return the figures of *values*."""
        at = values.percentile
        return cls(
            count=values.count,
            mean=round(values.mean, 3),
            p50=round(at(50), 3),
            p90=round(at(90), 3),
            p95=round(at(95), 3),
            p99=round(at(99), 3),
            max=round(values.largest, 3),
        )


class Group(msgspec.Struct, frozen=True):
    """The answers of one endpoint, or those with one word in X-Cache."""

    name: str
    times: Times
    errors: int
    served: int
    """Answered from the cache."""
    asked: int
    """Where the cache was a candidate."""

    @property
    def hit_rate(self) -> float | None:
        """Served from the cache, of those that asked it; None when none did."""
        return self.served / self.asked if self.asked else None


class Second(msgspec.Struct, frozen=True):
    """One second of a run."""

    at: int
    """Seconds since the first answer."""
    times: Times
    errors: int
    served: int
    asked: int
    origin: int
    """Answers that the origin had a part in."""


class Failure(msgspec.Struct, frozen=True):
    """Answers that failed in the same way."""

    endpoint: str
    what: str
    count: int


class GatewayReading(msgspec.Struct, frozen=True):
    """What the gateway itself counted during the run."""

    requests: float
    origin_requests: float
    collapsed: float
    refreshes: float
    origin_p95_ms: float | None
    """None when the origin wasn't asked."""
    connections_open: float
    store_bytes: float
    public_hit_rate: float | None
    """Of the routes that a CDN would keep as well; None when nobody asked for them."""
    resident_bytes: int | None
    """Memory of its processes at the end; None when they are on another machine."""
    cpu_seconds: float | None


class SlowestQuery(msgspec.Struct, frozen=True):
    """Of the hub's queries that ran often during the run, the one with the highest P95."""

    name: str
    p95_ms: float
    """Since the hub's start."""
    count: int
    """How often it ran during the run."""


class Delivery(msgspec.Struct, frozen=True):
    """What answers weigh, measured by asking after the run."""

    plain_bytes: int
    compressed_bytes: int
    """Of the same answers, asked for with and without compression."""
    bundle_bytes: int
    """Scripts and styles of the dashboard's first load, as sent."""
    image_types: tuple[str, ...]
    """Media types of a picture for a browser that takes AVIF, and one that takes WebP."""

    @property
    def saved(self) -> float:
        """The share of bytes that compression saves, 0 to 1."""
        return 1 - self.compressed_bytes / self.plain_bytes if self.plain_bytes else 0.0


class Run(msgspec.Struct, frozen=True):
    """Everything about one run."""

    test: str
    profile: str
    scale: float
    engine: str
    """Such as `k9 0.1.0`."""
    base: str
    started: str
    """UTC, in ISO 8601."""
    seconds: float
    machine: str
    load: float
    """The load average of the machine before anything was started: what else was going on."""
    peak: int
    """The highest number of users at once, or of requests a second, as `unit` says."""
    unit: str
    total: Times
    failed: int
    """Answers that were wrong, or never came."""
    hit_rate: float | None
    stale_rate: float | None
    origin_requests: int
    dropped: int
    """Visits that didn't begin because all virtual users were still busy."""
    thresholds: tuple[Verdict, ...]
    metrics: dict[str, dict[str, float]]
    """The tool's own figures."""
    series: tuple[Second, ...]
    endpoints: tuple[Group, ...]
    words: tuple[Group, ...]
    failures: tuple[Failure, ...]
    gateway: GatewayReading | None = None
    """None when its admin port wasn't reachable."""
    delivery: Delivery | None = None
    slowest_query: SlowestQuery | None = None
    """None when the hub's metrics weren't reachable."""

    @property
    def rps(self) -> float:
        """Answers a second, on average."""
        return self.total.count / self.seconds if self.seconds else 0.0

    @property
    def peak_rps(self) -> int:
        """Answers in the busiest second."""
        return max((second.times.count for second in self.series), default=0)

    @property
    def error_rate(self) -> float:
        """Failed answers, 0 to 1."""
        return self.failed / self.total.count if self.total.count else 0.0

    @property
    def passed(self) -> bool:
        """Whether every threshold held."""
        return all(verdict.holds for verdict in self.thresholds)


def read(path: Path) -> Run:
    """Return the run in *path*, a folder or its file; RunError when there is none."""
    file = path / FILE if path.is_dir() else path
    try:
        return msgspec.json.decode(file.read_bytes(), type=Run)
    except OSError as error:
        raise RunError(f"{file}: no run here ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise RunError(f"{file}: not a run of this program ({error})") from error


def write(run: Run, folder: Path) -> None:
    """Keep *run* in *folder*."""
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
