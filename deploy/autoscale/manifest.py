"""An autoscaler as the manifest says it: the simulator runs what is deployed."""

from pathlib import Path
from typing import Any

import yaml

from deploy.autoscale.hpa import Autoscaler, Behavior, Policy, PolicyKind, Select

KUBERNETES = Path(__file__).resolve().parent.parent / "kubernetes"


def read(file: Path) -> tuple[Autoscaler, dict[str, float]]:
    """Return the autoscaler in *file*, and the target of each metric by its name.

    Utilization is in percent, everything else in the metric's own unit.
    """
    spec = yaml.safe_load(file.read_text())["spec"]
    behavior = spec["behavior"]
    autoscaler = Autoscaler(
        spec["minReplicas"],
        spec["maxReplicas"],
        _behavior(behavior["scaleUp"]),
        _behavior(behavior["scaleDown"]),
    )
    return autoscaler, dict(map(_target, spec["metrics"]))


def quantity(text: str | int) -> float:
    """Return the number that a Kubernetes quantity such as ``500m`` or ``640Mi`` stands for."""
    units = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    written = str(text)
    for unit in sorted(units, key=len, reverse=True):
        if written.endswith(unit):
            return float(written.removesuffix(unit)) * units[unit]
    return float(written)


def _behavior(said: dict[str, Any]) -> Behavior:
    return Behavior(
        said["stabilizationWindowSeconds"],
        tuple(
            Policy(PolicyKind(each["type"]), each["value"], each["periodSeconds"])
            for each in said["policies"]
        ),
        Select(said.get("selectPolicy", "Max")),
    )


def _target(metric: dict[str, Any]) -> tuple[str, float]:
    kind = metric["type"].lower()
    said = metric[kind]
    name = said["name"] if kind == "resource" else said["metric"]["name"]
    target = said["target"]
    value = target.get("averageUtilization") or target.get("averageValue") or target["value"]
    return name, quantity(value)
