"""What a load test consists of: `profiles.json` and `test-users.json`, read and checked.

From these numbers come the options of k6 and of k9, which understand the same words.
`k6/options.js` does the same arithmetic in the same order; a test compares both.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

FOLDER = Path(__file__).resolve().parent

TREND_STATS = ("min", "avg", "med", "p(90)", "p(95)", "p(99)", "max", "count")
SYSTEM_TAGS = ("error", "group", "method", "name", "scenario", "status")
"""Without `url`: one time series for each address would fill the memory of both tools."""

Input = dict[str, str | int]
Named = TypeVar("Named")


class DefinitionError(Exception):
    """A name that isn't in the files, or a file that isn't well formed."""


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A custom metric of both scripts."""

    kind: Literal["counter", "rate", "trend"]
    time: bool
    """Whether values are milliseconds."""


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A straight line from where the last stage ended."""

    seconds: int
    target: int
    """Users, or requests a second, as the test's `unit` says."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same test for one size of environment."""

    seconds_a_visit: int
    """How long a user stays; so many users that each begins one visit in this time."""
    stages: tuple[Stage, ...]
    thresholds: dict[str, tuple[str, ...]] = {}
    """In place of the test's, by metric: a cache that is empty at first and used for a few
    seconds has fewer hits than one that is used for half an hour."""

    @property
    def seconds(self) -> int:
        """From the first stage's beginning to the last one's end."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def peak(self) -> int:
        """The highest target."""
        return max(stage.target for stage in self.stages)


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the load a scenario has, 0 to 1."""

    share: float


class Vus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Virtual users, as multiples of the highest target."""

    preallocated: float
    most: float
    """An open model needs more of them when answers are slow; beyond these it drops visits."""


class LoadTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One load test in all its profiles."""

    unit: Literal["users", "requests a second"]
    vus: Vus
    scenarios: dict[str, Share]
    thresholds: dict[str, tuple[str, ...]]
    profiles: dict[str, Profile]
    endpoints: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the hub and what a browser asks for once it has it."""

    name: str
    path: str
    weight: float
    batch: tuple[str, ...]
    """Procedures that go out together in one request."""
    also: tuple[str, ...]
    """Paths of the API that are asked for at the same time."""


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operation of the API: a batch of procedures, a path to read, or a write."""

    name: str
    weight: float
    batch: tuple[str, ...] = ()
    path: str = ""
    anonymous: bool = False
    """Asked by nobody: an answer that renews a cookie would be sent twice from then on."""
    write: bool = False


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the inputs that a procedure is called with."""

    weight: float
    input: Input


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a member of the crowd may ask: a batch with empty inputs, or a path."""

    weight: float
    batch: tuple[str, ...] = ()
    path: str = ""


class CrowdPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hundred thousand connected users; times are seconds."""

    users: int
    live_share: float
    """Of the users: those who listen to events instead of asking."""
    think_seconds: float
    ramp_seconds: float
    hold_seconds: float
    questions: tuple[Question, ...]


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `profiles.json`."""

    think_spread: float
    """Think times are uniform between 1 - this and 1 + this times their mean."""
    first_visit_share: float
    """Visits by browsers that have none of the assets."""
    pages_a_visit: int
    calls_a_visit: int
    sse_share: float
    """Of the real-time visits; the rest are WebSockets. k6 has no client for SSE."""
    drop_limit: float
    """Visits that may be dropped because no virtual user was free, 0 to 1."""
    compression: str
    """The Accept-Encoding field that every request carries."""
    metrics: dict[str, Metric]
    served_from_cache: tuple[str, ...]
    """Words of X-Cache that mean: nobody waited for the origin."""
    stale_words: tuple[str, ...]
    not_asked_words: tuple[str, ...]
    """Words that mean: the cache was no candidate; they count for no hit rate."""
    pages: tuple[Page, ...]
    calls: tuple[Call, ...]
    inputs: dict[str, tuple[Choice, ...]]
    crowd: CrowdPlan
    tests: dict[str, LoadTest]

    def test(self, name: str) -> LoadTest:
        """Return the test called *name*, or raise DefinitionError with those there are."""
        return _named(self.tests, name, "test")

    def profile(self, test: str, name: str) -> Profile:
        """Return the profile *name* of *test*, or raise DefinitionError with those there are."""
        return _named(self.test(test).profiles, name, "profile")


class Organization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant and its share of the visits."""

    name: str
    weight: float
    users: tuple[str, ...]
    """E-mail addresses; they share the organization's visits evenly."""


class Users(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `test-users.json`."""

    password: str
    organizations: tuple[Organization, ...]

    def weights(self) -> dict[str, float]:
        """Return each user's weight."""
        return {
            user: each.weight / len(each.users)
            for each in self.organizations
            for user in each.users
        }


def batch_path(procedures: Sequence[str], inputs: str) -> str:
    """Return the target of a batch of tRPC; *inputs* is JSON, numbered by place."""
    return f"/api/trpc/{','.join(procedures)}?batch=1&input={quote(inputs, safe='')}"


def _named(table: dict[str, Named], name: str, what: str) -> Named:
    if name not in table:
        raise DefinitionError(f"no {what} {name!r}; there are {', '.join(table)}")
    return table[name]


@functools.cache
def definition() -> Definition:
    """Return what `profiles.json` says."""
    return msgspec.json.decode((FOLDER / "profiles.json").read_bytes(), type=Definition)


@functools.cache
def users() -> Users:
    """Return what `test-users.json` says."""
    return msgspec.json.decode((FOLDER / "test-users.json").read_bytes(), type=Users)


def options_for(test: str, profile: str, scale: float = 1.0) -> dict[str, Any]:
    """Return the options of *test*, as k6 and k9 take them.

    *scale* multiplies every target. Visits begin at a rate that the answers have no
    influence on: when the gateway stalls they queue up and their times show it, while a
    loop of users that wait for one another would just ask less often.
    """
    everything = definition()
    described = everything.test(test)
    chosen = everything.profile(test, profile)
    scenarios: dict[str, Any] = {}
    for name, scenario in described.scenarios.items():
        factor = scenario.share * scale
        peak = chosen.peak * factor
        preallocated = max(2, math.ceil(peak * described.vus.preallocated))
        scenarios[name] = {
            "executor": "ramping-arrival-rate",
            "exec": name,
            "startRate": 0,
            "timeUnit": f"{chosen.seconds_a_visit}s",
            "preAllocatedVUs": preallocated,
            "maxVUs": max(preallocated, math.ceil(peak * described.vus.most)) + 10,
            "stages": [
                {
                    "duration": f"{stage.seconds}s",
                    # Not round(): it takes halves to the even neighbour, JavaScript's doesn't.
                    "target": math.floor(stage.target * factor + 0.5),
                }
                for stage in chosen.stages
            ],
            "gracefulStop": f"{2 * chosen.seconds_a_visit}s",
        }
    dropped = math.floor(planned_visits(scenarios, chosen.seconds_a_visit) * everything.drop_limit)
    thresholds = {
        name: list(each) for name, each in (described.thresholds | chosen.thresholds).items()
    }
    return {
        "scenarios": scenarios,
        "thresholds": {**thresholds, "dropped_iterations": [f"count<{dropped + 1}"]},
        "summaryTrendStats": list(TREND_STATS),
        "systemTags": list(SYSTEM_TAGS),
        "setupTimeout": "120s",
        "userAgent": "loadtest",
    }


def planned_visits(scenarios: dict[str, Any], seconds_a_visit: int) -> float:
    """Return how many visits the stages come to."""
    total = 0.0
    for scenario in scenarios.values():
        before = 0
        for stage in scenario["stages"]:
            seconds = int(stage["duration"].removesuffix("s"))
            total += (before + stage["target"]) / 2 * seconds
            before = stage["target"]
    return total / seconds_a_visit


def stage_marks(profile: Profile) -> Sequence[tuple[int, int]]:
    """Return when each stage ends, in seconds from the beginning, and its target."""
    marks = []
    at = 0
    for stage in profile.stages:
        at += stage.seconds
        marks.append((at, stage.target))
    return marks
