"""How both k9 scripts ask: one request, its metrics and whether the answer is right.

`k6/asking.js` does the same for k6.
"""

import random
from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict, TypeVar

import k9
import msgspec
from k9.http import Response
from k9.metrics import Counter, Metric, Rate, Trend

from loadtest.definition import Definition, batch_path, definition, users

KINDS: dict[str, Callable[[str, bool], Metric]] = {"counter": Counter, "rate": Rate, "trend": Trend}


class Person(TypedDict):
    """Somebody who is logged in, and what of theirs may be changed."""

    cookie: str
    weight: float
    project_id: int
    project_name: str


class Data(TypedDict):
    """What `setup()` hands to every visit."""

    people: list[Person]


class Weighted(Protocol):
    """Something to draw from."""

    @property
    def weight(self) -> float:
        """How often it is drawn, against the others."""


Drawn = TypeVar("Drawn", bound=Weighted)


def draw(choices: Sequence[Drawn]) -> Drawn:
    """Return one of *choices*, by weight."""
    return random.choices(choices, [each.weight for each in choices])[0]


def person(data: Data) -> Person:
    """Return who makes this visit: a few organisations make most of them."""
    people = data["people"]
    return random.choices(people, [each["weight"] for each in people])[0]


def think_time(visit: float, steps: int) -> float:
    """Return how long a person looks at one of *steps* in a visit of *visit* seconds."""
    spread = definition().think_spread
    return visit / steps * random.uniform(1 - spread, 1 + spread)


class Metrics:
    """The custom metrics; made once, while the script is loaded, as k6 and k9 ask for."""

    def __init__(self, everything: Definition) -> None:
        made = {
            name: KINDS[each.kind](name, each.time) for name, each in everything.metrics.items()
        }
        self._definition = everything
        self._made = made

    def trend(self, name: str, milliseconds: float, tags: dict[str, str] | None = None) -> None:
        """Add to a distribution."""
        metric = self._made[name]
        assert isinstance(metric, Trend)
        metric.add(milliseconds, tags)

    def count(self, name: str, value: float = 1) -> None:
        """Add to a counter."""
        metric = self._made[name]
        assert isinstance(metric, Counter)
        metric.add(value)

    def rate(self, name: str, *, happened: bool, tags: dict[str, str] | None = None) -> None:
        """Add to a share."""
        metric = self._made[name]
        assert isinstance(metric, Rate)
        metric.add(happened, tags)

    def answered(self, endpoint: str, response: Response, *, right: bool) -> None:
        """Count an answer from the API or a page, and what the cache had to do with it."""
        everything = self._definition
        word = response.headers.get("x-cache", "none")
        took = response.timings.duration
        tags = {"endpoint": endpoint, "cache": word, "status": str(response.status)}
        self.trend("answer_duration", took, tags)
        self.rate("error_rate", happened=not right, tags={"endpoint": endpoint})
        if not response.status:
            return
        served = word in everything.served_from_cache
        if word not in everything.not_asked_words:
            self.rate("cache_hit_rate", happened=served)
            self.rate("cache_stale_rate", happened=word in everything.stale_words)
        if not served:
            self.count("origin_requests")


class Client:
    """Asks the gateway at *base*."""

    def __init__(self, base: str, metrics: Metrics) -> None:
        self.base = base
        self.metrics = metrics
        self._compression = definition().compression

    def headers(self, who: Person | None) -> dict[str, str]:
        """Return the fields of a request by *who*; None asks as nobody."""
        fields = {"Accept-Encoding": self._compression}
        if who is not None:
            fields["Cookie"] = who["cookie"]
        return fields

    async def get(
        self,
        path: str,
        endpoint: str,
        who: Person | None,
        right: Callable[[Response], bool] | None = None,
    ) -> Response:
        """Get *path* and judge it: 200, and what *right* says of it."""
        response = await k9.http.get(
            self.base + path,
            headers=self.headers(who),
            name=endpoint,
            tags={"endpoint": endpoint},
            timeout=30,
        )
        well = response.status == 200 and (right is None or right(response))
        k9.check(response, {"answered right": well}, tags={"endpoint": endpoint})
        self.metrics.answered(endpoint, response, right=well)
        if path.startswith("/api/"):
            self.metrics.trend("api_duration", response.timings.duration)
        return response

    async def batch(self, procedures: Sequence[str], who: Person) -> Response:
        """Call *procedures* in one request, as tRPC's client in a browser does."""
        inputs = {
            str(place): draw(definition().inputs[name]).input
            for place, name in enumerate(procedures)
        }
        target = batch_path(procedures, msgspec.json.encode(inputs).decode())
        # Not by commas: in k6 they would end the tag of a threshold.
        return await self.get(target, "+".join(procedures), who, _is_batch_answer)

    async def rename(self, who: Person) -> Response:
        """Write: give a project the name it has; its organisation's answers are forgotten."""
        endpoint = "rename-project"
        response = await k9.http.patch(
            f"{self.base}/api/projects/{who['project_id']}",
            json={"name": who["project_name"]},
            headers=self.headers(who),
            name=endpoint,
            tags={"endpoint": endpoint},
        )
        k9.check(response, {"answered right": response.status == 200})
        self.metrics.answered(endpoint, response, right=response.status == 200)
        self.metrics.trend("api_duration", response.timings.duration)
        return response


def _is_batch_answer(response: Response) -> bool:
    return response.body.startswith(b"[") and b'"error"' not in response.body


async def log_in(base: str) -> Data:
    """Log every test user in, one after another: each password costs the hub a tenth of a second.

    RuntimeError, which ends the test before it begins, when that fails.
    """
    everybody = users()
    people: list[Person] = []
    for email, weight in everybody.weights().items():
        answer = await k9.http.post(
            f"{base}/api/auth/login",
            json={"email": email, "password": everybody.password},
            name="login",
        )
        if answer.status != 200:
            raise RuntimeError(
                f"{email} can't log in at {base}: status {answer.status} {answer.error or ''}; "
                "is the hub there, with its demo data (python -m upstream serve --seed yes)?"
            )
        cookie = "; ".join(
            value.partition(";")[0] for value in answer.headers.get_all("set-cookie")
        )
        # The cookie jar sends them here; twice the same cookie would prove nothing.
        projects = await k9.http.get(f"{base}/api/projects?limit=1", name="first-project")
        project = projects.json()["data"][0]
        people.append(
            Person(
                cookie=cookie,
                weight=weight,
                project_id=project["id"],
                project_name=project["name"],
            )
        )
    return Data(people=people)
