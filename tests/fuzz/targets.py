"""All that is fuzzed, by name."""

from tests.fuzz import edge_targets, policy_targets, rules_targets, wire_targets
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *wire_targets.TARGETS,
        *policy_targets.TARGETS,
        *rules_targets.TARGETS,
        *edge_targets.TARGETS,
    )
}
