"""Renders our kustomizations: the part of kustomize that they use, and refuses the rest.

`docs/decisions/0007-kustomize.md` tells why, and how it was held against kustomize itself.
"""

import copy
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Resource: TypeAlias = dict[str, Any]

_KNOWN = {
    *("apiVersion", "kind", "namespace", "resources", "components"),
    *("images", "patches", "configMapGenerator"),
}
_EVERYWHERE = {"Namespace"}
"""Kinds that live in no namespace."""


def render(folder: Path) -> list[Resource]:
    """Return what `kubectl apply -k folder` would apply, unordered."""
    resources: list[Resource] = []
    _into(folder, resources)
    return resources


def named(resources: list[Resource], kind: str, name: str) -> Resource:
    [found] = [r for r in resources if r["kind"] == kind and r["metadata"]["name"] == name]
    return found


def documents(file: Path) -> list[Resource]:
    return [each for each in yaml.safe_load_all(file.read_text()) if each is not None]


def _into(folder: Path, resources: list[Resource]) -> None:
    folder = folder.resolve()
    [said] = documents(folder / "kustomization.yaml")
    assert set(said) <= _KNOWN, f"{folder}: this renderer doesn't know {set(said) - _KNOWN}"
    mine: list[Resource] = []
    for name in said.get("resources", ()):
        path = folder / name
        if path.is_dir():
            _into(path, mine)
        else:
            assert path.resolve().is_relative_to(folder), f"{path} is outside of {folder}"
            mine += documents(path)
    for generated in said.get("configMapGenerator", ()):
        assert generated["options"] == {"disableNameSuffixHash": True}
        mine.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": generated["name"]},
                "data": {name: (folder / name).read_text() for name in generated["files"]},
            }
        )
    # A component sees what there is already, and changes it.
    everything = [*resources, *mine] if said["kind"] == "Component" else mine
    for name in said.get("components", ()):
        _into_component(folder / name, everything)
    for patch in said.get("patches", ()):
        _patch(patch, everything)
    _set(said, everything)
    if said["kind"] == "Component":
        resources[:] = everything
    else:
        resources += everything


def _into_component(folder: Path, resources: list[Resource]) -> None:
    [said] = documents(folder / "kustomization.yaml")
    assert said["kind"] == "Component", folder
    _into(folder, resources)


def _set(said: Resource, resources: list[Resource]) -> None:
    for resource in resources:
        if "namespace" in said and resource["kind"] not in _EVERYWHERE:
            resource["metadata"]["namespace"] = said["namespace"]
        if "namespace" in said and resource["kind"] == "Namespace":
            resource["metadata"]["name"] = said["namespace"]
        for image in said.get("images", ()):
            for container in _containers(resource):
                if container["image"].partition(":")[0] == image["name"]:
                    container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"


def _containers(resource: Resource) -> list[Resource]:
    pod = resource.get("spec", {}).get("template", {}).get("spec", {})
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


def _patch(patch: Resource, resources: list[Resource]) -> None:
    change = yaml.safe_load(patch["patch"])
    if isinstance(change, dict):
        assert change.get("$patch") == "delete", "of merges only deletion is known"
        gone = named(resources, change["kind"], change["metadata"]["name"])
        resources.remove(gone)
        return
    target = patch["target"]
    chosen = [
        each
        for each in resources
        if each["kind"] == target["kind"]
        and target.get("name", each["metadata"]["name"]) == each["metadata"]["name"]
    ]
    assert chosen, f"nothing to patch: {target}"
    for resource in chosen:
        for operation in change:
            _operate(operation, resource)


def _operate(operation: Resource, resource: Resource) -> None:
    *way, last = [part.replace("~1", "/") for part in operation["path"].split("/")[1:]]
    place: Any = resource
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    key: Any = int(last) if isinstance(place, list) else last
    if operation["op"] == "remove":
        del place[key]
    else:
        assert operation["op"] == "replace", operation
        assert key in place, f"{operation['path']} replaces nothing"
        place[key] = copy.deepcopy(operation["value"])
