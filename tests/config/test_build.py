"""What good rules become."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import schema, spec_listen, spec_origins, spec_tiers
from gateway.config.build import Examined, examine, load
from gateway.config.shapes import TextShape
from gateway.config.tables import Key
from gateway.config.units import show_size
from gateway.edge.snapshot import Limits, Snapshot
from gateway.errors import ConfigurationError
from gateway.origin.settings import Endpoint, OriginSettings, Timeouts
from gateway.policy.negotiation import Coding, Compression
from gateway.policy.rules import OBEY_ORIGIN, CacheRules, Heuristic, QueryRules, Scope

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HUB = "origins: {hub: {servers: [http://127.0.0.1:3000]}}\n"


def rules(folder: Path, text: str, **environ: str) -> Snapshot:
    return examined(folder, text, **environ).snapshot or pytest.fail("refused")


def examined(folder: Path, text: str, **environ: str) -> Examined:
    path = folder / "rules.yaml"
    path.write_text("version: 1\n" + text)
    return examine(path, environ, None)


def cache_of(snapshot: Snapshot, path: bytes, method: bytes = b"GET") -> CacheRules:
    return snapshot.routes.find(method, path).cache


def test_the_shipped_rules_load_without_any_environment() -> None:
    snapshot = load(ROOT / "rules.yaml", {}, None)

    assert [route.name for route in snapshot.routes.routes][-1] == "default"
    assert snapshot.origins["hub"].endpoints == (Endpoint("127.0.0.1", 3000),)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "marketing"),
        ("/blog", "marketing"),
        ("/blog/2026/a", "marketing"),
        ("/blogs", "default"),
        ("/docs/x", "docs"),
        ("/dashboard", "private"),
        ("/dashboard/a/b", "private"),
        ("/api/health", "private"),
        ("/api/healthy", "default"),
        ("/api/auth/session", "private"),
        ("/api/trpc/insight.getIssues", "lists"),
        ("/api/trpc/insight.getIssues,autopilot.getRuns", "default"),
        ("/api/trpc/analytics.getMetrics", "reports"),
        ("/api/projects", "lists"),
        ("/api/projects/1", "default"),
        ("/api/organizations", "my-organizations"),
        ("/_next/static/chunks/a.js", "static"),
        ("/_next/data", "default"),
        ("/images/a.png", "static"),
    ],
)
def test_the_shipped_rules_route(path: str, name: str) -> None:
    snapshot = load(ROOT / "rules.yaml", {}, None)

    assert snapshot.routes.find(b"GET", path.encode()).name == name


def test_every_key_reaches_the_snapshot() -> None:
    snapshot = load(HERE / "accepted/everything.yaml", {"DOCS_HOST": "127.0.0.2"}, None)

    assert snapshot.origins == {
        "hub": OriginSettings(
            "hub",
            (Endpoint("::1", 3000),),
            Timeouts(connect=0.05, first_byte=60.0, between_bytes=120.0, total=90.0),
            host="hub.example.com",
            max_connections=10,
            max_waiting=0,
        ),
        "docs": OriginSettings("docs", (Endpoint("127.0.0.2", 80),)),
    }
    assert (snapshot.memory_bytes, snapshot.object_bytes) == (1 << 30, 1 << 20)
    assert snapshot.limits == Limits(64 << 10, 16 << 10, 200, 5.0, 120.0, 30.0)
    shared = CacheRules(
        scope=Scope.PUBLIC,
        lifetime=300.0,
        browser_lifetime=1.0,
        immutable=True,
        status_lifetimes={404: 10.0, 503: 0.0},
        query=QueryRules(sort=True, ignore=("utm_*",), only=("page", "q")),
    )
    assert cache_of(snapshot, b"/else") == shared
    plain = snapshot.routes.find(b"GET", b"/plain/x")
    assert plain.origin == "docs"
    assert plain.cache == replace(
        shared,
        lifetime=None,
        status_lifetimes={404: 60.0, 503: 0.0, 301: 3600.0},
        query=QueryRules(sort=True, ignore=("gclid",), only=("page", "q")),
    )
    assert not cache_of(snapshot, b"/v1/health").enabled
    assert not cache_of(snapshot, b"/a", b"PUT").enabled


def test_a_file_without_routes_obeys_the_origin() -> None:
    snapshot = load(HERE / "accepted/only_a_version.yaml", {}, "http://127.0.0.1:9")

    (route,) = snapshot.routes.routes
    assert (route.name, route.cache) == ("all", OBEY_ORIGIN)
    assert snapshot.origins[route.origin].endpoints == (Endpoint("127.0.0.1", 9),)


def test_defaults_without_routes_keep_the_scope_of_a_shared_cache(tmp_path: Path) -> None:
    snapshot = rules(tmp_path, HUB + "defaults: {cache: {status_ttl: {404: 1m}}}")

    assert cache_of(snapshot, b"/") == replace(OBEY_ORIGIN, status_lifetimes={404: 60.0})


def test_staleness_is_written_short_or_in_full(tmp_path: Path) -> None:
    snapshot = rules(
        tmp_path,
        HUB
        + """
defaults: {cache: {scope: public, stale_if_error: 1h}}
routes:
  - {match: {path: /a}, cache: {ttl: 60s, stale_while_revalidate: 5m}}
  - {match: {path: /b}, cache: {stale_if_error: {for: 1d, after: 2s}, jitter: 10%}}
  - match: {path: /c}
    cache: {heuristic: {fraction: 5%}, early_refresh: true, whole_for_range: true}
""",
    )
    a, b, c = (cache_of(snapshot, path) for path in (b"/a", b"/b", b"/c"))

    assert (a.lifetime, a.stale_while_revalidate, a.stale_if_error_for) == (60.0, 300.0, 3600.0)
    assert (b.stale_if_error_for, b.stale_if_error_after, b.jitter) == (86400.0, 2.0, 0.1)
    assert c.heuristic == Heuristic(fraction=0.05, most=3600.0)
    assert (c.early_refresh, c.whole_for_range) == (1.0, True)


def test_headers_and_cookies_can_belong_to_the_key(tmp_path: Path) -> None:
    snapshot = rules(
        tmp_path,
        HUB + "routes: [{match: {path: /a}, cache: {key: {headers: [X-Region], cookies: lang}}}]",
    )

    assert cache_of(snapshot, b"/a").key_headers == (b"x-region",)
    assert cache_of(snapshot, b"/a").key_cookies == (b"lang",)


def test_silent_rules_share_nothing_between_users(tmp_path: Path) -> None:
    snapshot = rules(tmp_path, HUB + "routes: [{match: {path: /a}}]")

    assert cache_of(snapshot, b"/a") == CacheRules() == cache_of(snapshot, b"/b")
    assert CacheRules().scope is Scope.USER


def test_the_origin_flag_replaces_the_servers_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "version: 1\norigins:\n  a: {servers: http://a, timeouts: {total: 1s}}\n"
        "  b: {servers: http://b}\ndefaults: {origin: a}"
    )

    origins = load(path, {}, "http://127.0.0.1:9").origins

    assert origins["a"].endpoints == (Endpoint("127.0.0.1", 9),)
    assert origins["a"].timeouts.total == 1.0
    assert origins["b"].endpoints == (Endpoint("b", 80),)


_BUILT_IN: list[tuple[Key[float] | Key[int], float]] = [
    (spec_origins.CONNECT, Timeouts().connect),
    (spec_origins.FIRST_BYTE, Timeouts().first_byte),
    (spec_origins.BETWEEN_BYTES, Timeouts().between_bytes),
    (spec_origins.TOTAL, Timeouts().total),
    (spec_origins.MAX_CONNECTIONS, OriginSettings("x", ()).max_connections),
    (spec_origins.MAX_WAITING, OriginSettings("x", ()).max_waiting),
    (spec_listen.HEAD, Limits().head_bytes),
    (spec_listen.TARGET, Limits().target_bytes),
    (spec_listen.FIELDS, Limits().field_count),
    (spec_listen.HEAD_TIMEOUT, Limits().head_timeout),
    (spec_listen.IDLE_TIMEOUT, Limits().idle_timeout),
    (spec_listen.SEND_TIMEOUT, Limits().send_timeout),
    (spec_listen.BODY, Limits().body_bytes),
    (spec_listen.CONNECTIONS, Limits().connections),
    (spec_listen.REQUESTS, Limits().requests),
]


@pytest.mark.parametrize(("key", "built_in"), _BUILT_IN, ids=lambda each: getattr(each, "name", ""))
def test_a_default_is_declared_as_it_is_built_in(
    key: Key[float] | Key[int], built_in: float
) -> None:
    assert isinstance(key.shape, TextShape)
    assert key.default is not None
    assert key.shape.parse(key.default) == built_in


def test_the_memory_tier_is_declared_as_it_is_built_in() -> None:
    snapshot = load(HERE / "accepted/only_a_version.yaml", {}, "http://127.0.0.1:9")
    fields = Snapshot(snapshot.routes, snapshot.origins, snapshot.identity)

    assert spec_tiers.MEMORY_SIZE.default == show_size(fields.memory_bytes)
    assert spec_tiers.MAX_OBJECT.default == show_size(fields.object_bytes)
    assert (snapshot.memory_bytes, snapshot.object_bytes) == (
        fields.memory_bytes,
        fields.object_bytes,
    )


@pytest.mark.parametrize("value", ["true", "1", "YES"])
def test_the_kill_switch_passes_the_api_and_nothing_else(tmp_path: Path, value: str) -> None:
    snapshot = rules(
        tmp_path,
        HUB + "routes: [{name: mixed, match: {path: [/api/a, /b]}, cache: {scope: public}}]",
        DISABLE_API_CACHE=value,
    )

    assert not cache_of(snapshot, b"/api/a").enabled
    assert not cache_of(snapshot, b"/api").enabled
    assert not cache_of(snapshot, b"/api/else").enabled
    assert cache_of(snapshot, b"/b").enabled
    assert cache_of(snapshot, b"/apia").enabled
    assert snapshot.routes.find(b"GET", b"/api/a").name == "mixed"


def test_a_variable_holds_a_value_and_never_more_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text('version: 1\norigins: {hub: {servers: ["${HUB}"]}}\n')

    with pytest.raises(ConfigurationError, match="expected a URL"):
        load(path, {"HUB": "http://a]}}\nroutes: []"}, None)


def test_a_variable_in_a_comment_is_left_alone(tmp_path: Path) -> None:
    assert len(rules(tmp_path, HUB + "# ${NOT_SET}\n").origins) == 1


def test_routes_without_names_are_called_after_their_paths(tmp_path: Path) -> None:
    snapshot = rules(
        tmp_path,
        HUB + "routes:\n  - match: {path: /a, method: GET}\n  - match: {path: /a}\n"
        "  - match: {method: PUT}\n",
    )

    assert [route.name for route in snapshot.routes.routes] == ["/a", "/a#2", "line-6", "default"]


def test_a_scope_that_nothing_verifies_is_warned_of(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        HUB + "routes:\n  - {name: a, match: {path: /a}, cache: {scope: org}}\n"
        "  - {name: b, match: {path: /b}, cache: {ttl: 1m}}\n"
        "  - {name: c, match: {path: /c}}\n",
    )

    assert found.snapshot is not None
    assert [finding.text.partition(" never")[0] for finding in found.findings] == [
        'route "a"',
        'route "b"',
    ]


def test_a_path_that_better_routes_take_is_warned_of(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        HUB + "routes:\n  - {match: {path: /a/*}, cache: off}\n"
        "  - {name: b, match: {path: [/a/b, /b]}}\n",
    )

    (finding,) = found.findings
    assert finding.text == (
        '"/a/b" in route "b" can never match: "/a/*" on line 4 takes every request first'
    )


def test_keys_are_read_from_a_file_beside_the_rules(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(
        json.dumps(
            {
                "keys": [
                    {
                        "kty": "OKP",
                        "crv": "Ed25519",
                        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                    }
                ]
            }
        )
    )

    found = examined(
        tmp_path,
        HUB + "identity: {org: {jwt_claim: o, cookie: c, keys: keys.json}}\n"
        "routes: [{match: {path: /a}, cache: {scope: org}}]",
    )

    assert found.snapshot is not None
    assert not len(found.findings)


def test_the_shipped_schema_is_the_one_that_the_keys_make() -> None:
    assert (ROOT / schema.FILE).read_text("utf-8") == schema.text()


def test_a_route_adds_to_what_the_defaults_say_about_compression(tmp_path: Path) -> None:
    text = (
        HUB + "defaults: {compress: {min_size: 2KB, types: [text/*], recompress: off}}\nroutes:\n"
    )
    text += "  - {match: {path: /a}, compress: {encodings: [gzip, br, gzip]}}\n"
    text += "  - {match: {path: /b}, compress: off}\n  - {match: {path: /c}, compress: on}\n"
    snapshot = rules(tmp_path, text)
    a, b, c, rest = (
        snapshot.routes.find(b"GET", path).compression for path in [b"/a", b"/b", b"/c", b"/d"]
    )

    of_defaults = Compression(min_bytes=2048, types=("text/*",), recompress_after=None)
    assert a == replace(of_defaults, codings=(Coding.GZIP, Coding.BR))
    assert b is None
    assert c == Compression()
    assert rest == of_defaults


@pytest.mark.parametrize("value", ["true", "1", "YES"])
def test_a_switch_leaves_every_body_as_it_comes(tmp_path: Path, value: str) -> None:
    text = HUB + "defaults: {compress: on}\nroutes: [{match: {path: /a}, compress: on}]"

    switched = rules(tmp_path, text, DISABLE_COMPRESSION=value)

    assert {route.compression for route in switched.routes.routes} == {None}
    assert rules(tmp_path, text).routes.find(b"GET", b"/a").compression == Compression()
