"""The manifests: valid by the schemas, and what they say is true of the real program."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import msgspec
import pytest
import yaml

from gateway.control import supervisor
from gateway.control.channel import Settings
from tests.deploy.kustomize import Resource, documents, named, render
from tests.deploy.paths import DEPLOY, KUBERNETES, ROOT, RUNBOOKS, SCHEMAS
from upstream import serving

VERSIONS = ("1.33", kubernetes_validate.latest_version())
RENDERED = ["overlays/dev", "overlays/prod", "valkey"]
TIERS = ["gateway", "hub"]


@pytest.fixture(scope="module")
def prod() -> list[Resource]:
    return render(KUBERNETES / "overlays" / "prod")


def container(resources: list[Resource], name: str) -> Resource:
    [found] = named(resources, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def custom_schema(resource: Resource) -> dict[str, Any] | None:
    version = resource["apiVersion"].rpartition("/")[2]
    file = SCHEMAS / f"{resource['kind']}_{version}.json"
    if not file.exists():
        return None
    schema = json.loads(file.read_text())
    assert isinstance(schema, dict)
    return schema


def validate(resource: Resource, version: str) -> None:
    schema = custom_schema(resource)
    if schema is None:
        kubernetes_validate.validate(resource, version, strict=True)
        return
    # Kubernetes drops unknown fields of custom resources; here they are mistakes.
    jsonschema.validate(resource, closed(schema))


def closed(schema: Any) -> Any:
    """Return *schema* with no more properties than it names."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items() if key != "properties"}
    if isinstance(pattern := schema.get("pattern"), str) and "(?i)" in pattern:
        # Go takes a flag anywhere, Python at the beginning only.
        result["pattern"] = "(?i)" + pattern.replace("(?i)", "")
    if "properties" in schema:
        result["properties"] = {name: closed(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    return result


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RENDERED)
def test_what_is_applied_is_valid(name: str, version: str) -> None:
    for resource in render(KUBERNETES / name):
        validate(resource, version)


def test_a_misspelt_key_is_no_valid_manifest(prod: list[Resource]) -> None:
    hpa = json.loads(json.dumps(named(prod, "HorizontalPodAutoscaler", "hub")))
    hpa["spec"]["maxReplica"] = hpa["spec"].pop("maxReplicas")
    vpa = json.loads(json.dumps(named(prod, "VerticalPodAutoscaler", "hub")))
    vpa["spec"]["updatePolicy"]["updateMode"] = "Sometimes"

    with pytest.raises(kubernetes_validate.ValidationError):
        validate(hpa, VERSIONS[0])
    with pytest.raises(jsonschema.ValidationError):
        validate(vpa, VERSIONS[0])


def test_keda_takes_the_place_of_the_autoscalers_and_says_the_same(tmp_path: Path) -> None:
    scaled = {
        each["metadata"]["name"]: each["spec"]
        for each in documents(KUBERNETES / "components/keda/scaledobjects.yaml")
    }
    for each in documents(KUBERNETES / "components/keda/scaledobjects.yaml"):
        validate(each, VERSIONS[0])
    for tier, folder in (("gateway", "gateway"), ("hub", "upstream")):
        [hpa] = documents(KUBERNETES / folder / "hpa.yaml")
        said = scaled[tier]
        assert said["minReplicaCount"] == hpa["spec"]["minReplicas"]
        assert said["maxReplicaCount"] == hpa["spec"]["maxReplicas"]
        behavior = said["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior == hpa["spec"]["behavior"]


def test_yaml_files_are_tidy() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "yamllint", "-s", "-c", str(DEPLOY / ".yamllint"), str(DEPLOY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("", 0)


def test_the_dockerfile_has_nothing_that_hadolint_objects_to() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    run = subprocess.run(
        [hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.returncode) == ("", 0)


@pytest.mark.parametrize("tier", TIERS)
def test_tiers_scale_by_the_four_metrics_of_the_contract(prod: list[Resource], tier: str) -> None:
    spec = named(prod, "HorizontalPodAutoscaler", tier)["spec"]
    targets = {}
    for metric in spec["metrics"]:
        said = metric[metric["type"].lower()]
        name = said["name"] if metric["type"] == "Resource" else said["metric"]["name"]
        target = dict(said["target"])
        target.pop("type")
        targets[name] = target

    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 100)
    assert targets.pop("cpu") == {"averageUtilization": 70}
    assert targets.pop("memory") == {"averageUtilization": 80}
    assert targets.pop(f"{tier}_requests_per_second") == {"averageValue": "1000"}
    assert list(targets.pop(f"{tier}_latency_p95_seconds").values()) == ["500m"]
    assert targets == {}


@pytest.mark.parametrize("tier", TIERS)
def test_pods_are_locked_down_and_survive_the_loss_of_nodes(
    prod: list[Resource], tier: str
) -> None:
    pod = named(prod, "Deployment", tier)["spec"]["template"]["spec"]
    allowed = container(prod, tier)["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert allowed["readOnlyRootFilesystem"] is True
    assert allowed["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    assert named(prod, "PodDisruptionBudget", tier)["spec"]["minAvailable"] == 2
    assert named(prod, "VerticalPodAutoscaler", tier)["spec"]["updatePolicy"] == {
        "updateMode": "Off"
    }
    assert "replicas" not in named(prod, "Deployment", tier)["spec"]


def test_pods_get_the_time_that_the_program_takes_to_drain(prod: list[Resource]) -> None:
    defaults = {each.name: each.default for each in msgspec.structs.fields(Settings)}
    needs = {
        "gateway": defaults["drain_limit"] + supervisor._DRAIN_GRACE,
        "hub": serving.SHUTDOWN_LIMIT,
    }
    for tier, limit in needs.items():
        pod = named(prod, "Deployment", tier)["spec"]["template"]["spec"]
        [_, pause] = container(prod, tier)["lifecycle"]["preStop"]["exec"]["command"]
        assert pod["terminationGracePeriodSeconds"] >= float(pause) + limit, tier


@pytest.mark.parametrize("tier", TIERS)
def test_services_probes_and_policies_name_ports_that_the_container_has(
    prod: list[Resource], tier: str
) -> None:
    ours = container(prod, tier)
    ports = {each["name"]: each["containerPort"] for each in ours["ports"]}
    arguments = dict(
        each.split("=", 1) for each in ours["args"] if each.startswith("--") and "=" in each
    )
    listening = {
        int(arguments[flag].rpartition(":")[2])
        for flag in ("--listen", "--admin")
        if flag in arguments
    }

    assert set(ports.values()) == listening
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert ours[probe]["httpGet"]["port"] in ports
    for port in named(prod, "Service", tier)["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    for rule in named(prod, "NetworkPolicy", tier)["spec"]["ingress"]:
        assert {each["port"] for each in rule["ports"]} <= listening
    endpoint = named(prod, "ServiceMonitor", tier)["spec"]["endpoints"][0]
    assert endpoint["port"] in ports


def test_the_rules_of_the_pods_are_the_shipped_ones() -> None:
    assert (KUBERNETES / "gateway" / "rules.yaml").read_bytes() == (
        ROOT / "rules.yaml"
    ).read_bytes(), "copy rules.yaml to deploy/kubernetes/gateway: kustomize reads no file above"


def test_the_image_starts_what_the_manifests_start(prod: list[Resource]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    default = json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[-1])
    gateway = container(prod, "gateway")["args"]

    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)[0]) == [
        "python",
        "-m",
    ]
    joined = [f"{a}={b}" for a, b in zip(default[2::2], default[3::2], strict=True)]
    assert [each for each in gateway[2:] if not each.startswith("--origin")] == joined


def test_compose_runs_every_service_with_the_settings_of_the_contract() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    postgres = " ".join(services["postgres"]["command"])
    valkey = " ".join(services["valkey"]["command"])

    assert set(services) == {
        *("gateway", "hub", "postgres", "valkey", "prometheus", "grafana", "pgadmin")
    }
    for setting in (
        *("max_connections=200", "shared_buffers=256MB", "effective_cache_size=1GB"),
        *("work_mem=1310kB", "max_wal_size=4GB"),
    ):
        assert f"-c{setting}" in postgres
    assert "--maxmemory 512mb --maxmemory-policy allkeys-lru --appendonly yes --save" in valkey
    assert services["grafana"]["ports"] == ["127.0.0.1:3001:3000"]
    assert services["pgadmin"]["ports"] == ["127.0.0.1:5050:80"]
    for name, service in services.items():
        assert "healthcheck" in service or name in {"gateway", "hub"}, "the image has one"
        assert not service.get("image", "").endswith(":latest")


def test_every_variable_that_compose_wants_is_in_the_example() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    offered = {line.partition("=")[0] for line in lines if line and line[0] != "#"}
    wanted = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    agreed = {
        *("DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USER"),
        *("DATABASE_PASSWORD", "DB_POOL_MAX", "DB_POOL_MIN", "DEBUG_DB_METRICS"),
        *("DEBUG_POOL_METRICS", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"),
        *("CLOUDFLARE_ZONE_ID", "CLOUDFLARE_API_TOKEN", "DISABLE_API_CACHE"),
        *("DISABLE_COMPRESSION", "DATADOG_API_KEY", "PROMETHEUS_ENDPOINT"),
    }

    assert wanted <= offered
    assert agreed <= offered


def test_the_operator_gets_the_alerts_that_prometheus_has_and_each_has_a_runbook() -> None:
    plain = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
    [wrapped] = documents(KUBERNETES / "components/monitoring/alerts.yaml")
    alerts = [rule for group in plain["groups"] for rule in group["rules"] if "alert" in rule]

    assert wrapped["spec"] == plain
    for alert in alerts:
        page = RUNBOOKS / f"{alert['alert']}.md"
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{page.name}"
        assert page.read_text().startswith(f"# {alert['alert']}\n")
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == {each["alert"] for each in alerts}
