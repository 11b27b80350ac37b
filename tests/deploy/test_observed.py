"""What the pods run really works: probes, metrics, rules, dashboards, reload, end."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import cluster as clusters
from tests.deploy.cluster import Cluster
from tests.deploy.kustomize import named, render
from tests.deploy.paths import DEPLOY, KUBERNETES, ROOT
from tests.upstream.world import directory
from upstream.embedded import EmbeddedPostgres

NEW_RULES = "version: 1\nroutes:\n  - {name: fresh, match: {path: /fresh/*}, cache: off}\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    prod = render(KUBERNETES / "overlays" / "prod")
    with directory() as folder, EmbeddedPostgres(folder / "data") as postgres:
        hub_state, state, config = folder / "hub", folder / "state", folder / "config"
        state.mkdir()
        clusters.place_keys(hub_state)
        database = {
            "DATABASE_HOST": postgres.address.host,
            "DATABASE_PORT": str(postgres.address.port),
            "DATABASE_NAME": "hub",
            "DATABASE_USER": postgres.address.user,
            "DATABASE_PASSWORD": postgres.address.password or "",
        }
        job = clusters.container(prod, "Job", "hub-migration")["args"]
        demo = [each.replace("/var/lib/hub", str(hub_state)) for each in job]
        demo[demo.index("--seed=no")] = "--seed=yes"
        subprocess.run([sys.executable, "-m", *demo], cwd=ROOT, env=database, check=True)
        rules = named(prod, "ConfigMap", "gateway-rules")["data"]["rules.yaml"]
        clusters.mount_config(config, 1, rules)
        hub_paths = {
            "--listen=0.0.0.0:3000": "--listen=0.0.0.0:0",
            "/var/lib/hub": str(hub_state),
        }
        hub_said = clusters.container(prod, "Deployment", "hub")
        with clusters.pod(hub_said, hub_paths, database, [hub_state, folder / "data"]) as hub:
            paths = {
                "0.0.0.0:8080": "0.0.0.0:0",
                "0.0.0.0:8081": "0.0.0.0:0",
                "http://hub:3000": f"http://127.0.0.1:{hub.ports['http']}",
                "/etc/gateway": str(config),
                "/etc/hub/jwks.json": str(hub_state / "mounted-jwks.json"),
                "/var/lib/gateway": str(state),
            }
            said = clusters.container(prod, "Deployment", "gateway")
            targets = {"hub": hub.ports["http"]}
            with clusters.pod(said, paths, {}, [state]) as gateway:
                targets["gateway"] = gateway.ports["admin"]
                with clusters.prometheus(folder / "prometheus", targets) as url:
                    yield Cluster(gateway, hub, url, config)


def test_every_probe_is_answered(cluster: Cluster) -> None:
    for pod in (cluster.gateway, cluster.hub):
        assert len(pod.probes) == 3
        for probe in pod.probes.values():
            status, _ = pod.get(probe["port"], probe["path"])
            assert status == 200, probe


def test_nobody_reads_the_hub_s_figures_through_the_gateway(cluster: Cluster) -> None:
    assert cluster.hub.get("http", "/metrics")[0] == 200
    assert cluster.gateway.get("http", "/metrics")[0] == 404


def test_hub_and_gateway_have_the_same_keys(cluster: Cluster) -> None:
    _, published = cluster.hub.get("http", "/.well-known/jwks.json")
    mounted = (cluster.config.parent / "hub" / "mounted-jwks.json").read_text()

    assert json.loads(published) == json.loads(mounted)


def dashboards() -> list[tuple[str, str]]:
    return [
        (f"{file.stem}: {panel['title']}", target["expr"])
        for file in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


def scaling() -> list[tuple[str, str]]:
    [adapter] = yaml.safe_load_all((KUBERNETES / "components/monitoring/adapter.yaml").read_text())
    rules = yaml.safe_load(adapter["data"]["config.yaml"])
    queries = []
    for kind, group, matchers in (
        ("rules", "pod", 'namespace="hub",pod=~"gateway-0"'),
        ("externalRules", "namespace", 'namespace="hub"'),
    ):
        for rule in rules[kind]:
            expression = rule["metricsQuery"]
            for before, after in (
                ("<<.Series>>", rule["seriesQuery"].partition("{")[0]),
                ("<<.LabelMatchers>>", matchers),
                ("<<.GroupBy>>", group),
            ):
                expression = expression.replace(before, after)
            queries += [(rule["name"]["as"], expression), (rule["name"]["as"], rule["seriesQuery"])]
    for scaled in yaml.safe_load_all(
        (KUBERNETES / "components/keda/scaledobjects.yaml").read_text()
    ):
        for trigger in scaled["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                queries.append((scaled["metadata"]["name"], trigger["metadata"]["query"]))
    return queries


def test_no_query_of_a_dashboard_or_an_autoscaler_is_empty_under_load(cluster: Cluster) -> None:
    open_ones = [*dashboards(), *scaling()]
    assert len(open_ones) > 50

    def answered() -> bool:
        cluster.load()
        open_ones[:] = [each for each in open_ones if not cluster.query(each[1])]
        return not open_ones

    clusters.until(answered, open_ones)


def test_the_autoscalers_ask_for_metrics_that_the_adapter_makes() -> None:
    made = {name for name, _ in scaling()}
    wanted = set()
    for folder in ("gateway", "upstream"):
        hpa = yaml.safe_load((KUBERNETES / folder / "hpa.yaml").read_text())
        for metric in hpa["spec"]["metrics"]:
            if metric["type"] != "Resource":
                wanted.add(metric[metric["type"].lower()]["metric"]["name"])

    assert wanted <= made


def test_alerts_are_about_metrics_that_exist(cluster: Cluster) -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"]
    text = " ".join(rule["expr"] for group in groups for rule in group["rules"])
    wanted = set(re.findall(r"\b(?:gateway|hub)_[a-z_]+", text))
    assert len(wanted) > 8

    def all_known() -> bool:
        cluster.load()
        return all(cluster.query(f"count({name})") for name in wanted)

    clusters.until(all_known, "unknown metrics")
    _, answer = clusters.get(f"{cluster.prometheus}/api/v1/rules")
    rules: list[Any] = [
        rule for group in json.loads(answer)["data"]["groups"] for rule in group["rules"]
    ]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert [r["name"] for r in rules if r.get("state") == "firing"] == []


def test_a_changed_config_map_is_in_force_without_a_restart(cluster: Cluster) -> None:
    pid = cluster.gateway.process.pid
    before = loaded(cluster)

    clusters.mount_config(cluster.config, 2, NEW_RULES)

    clusters.until(lambda: loaded(cluster) > before, "the new rules weren't taken")
    assert cluster.gateway.process.pid == pid
    assert cluster.gateway.process.poll() is None


def loaded(cluster: Cluster) -> float:
    _, page = cluster.gateway.get("admin", "/metrics")
    found = re.search(r"^gateway_rules_loaded_timestamp_seconds (\S+)$", page, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_alerts_and_recordings_give_what_was_worked_out(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "prometheus" / "rules.yaml", tmp_path)
    shutil.copy(Path(__file__).with_name("rules_test.yaml"), tmp_path)

    run = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "rules_test.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"]
    cases = yaml.safe_load(Path(__file__).with_name("rules_test.yaml").read_text())["tests"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    tried = [each for case in cases for each in case["alert_rule_test"]]

    assert {each["alertname"] for each in tried if each["exp_alerts"]} == alerts
    assert {each["alertname"] for each in tried if not each["exp_alerts"]} == alerts


def test_prometheus_accepts_the_shipped_configuration() -> None:
    run = subprocess.run(
        ["promtool", "check", "config", str(DEPLOY / "prometheus" / "prometheus.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
