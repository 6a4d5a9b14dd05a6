"""What a Node of ours carries, and whether the scheduler would place a tenant's pod there."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from operators.nodepool.domain import SIMULATED, UNVALIDATED, MachineOrder, NodeFacts, Reason, Taint
from operators.nodepool.node_rules import missing_labels, wanted_taints
from operators.nodepool.usable_rules import why_unusable
from operators.nodepool.views import claim_facts
from tests.unit.operators.inference.test_resources import build, deployment

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KUBERNETES_TAINT = Taint("node.kubernetes.io/not-ready")
ORDER = MachineOrder(
    "uid", "p-0", "p-0", "p", 1000, 1024, 8, (("rempart.eu/node-pool", "p"),),
    (UNVALIDATED, SIMULATED, Taint("example.org/x", "1")), NOW,
)  # fmt: skip


def test_taints_that_are_ours_are_put_back_and_others_are_left_alone() -> None:
    bare = NodeFacts("p-0", "u", "", True, "", False, False, {}, (KUBERNETES_TAINT,))
    unaccepted = wanted_taints(ORDER, bare, is_accepted=False)
    assert set(unaccepted) == {UNVALIDATED, SIMULATED, Taint("example.org/x", "1"), KUBERNETES_TAINT}
    assert set(wanted_taints(ORDER, bare, is_accepted=True)) == set(unaccepted) - {UNVALIDATED}
    assert missing_labels(ORDER, bare) == {"rempart.eu/node-pool": "p"}


OWN = Taint("example.org/confidential", "yes", "NoExecute")
SOUND = NodeFacts("p-0", "u", "", True, "", False, False, {}, (SIMULATED, OWN), gpus=8, pods=110)
TOLERATED = (SIMULATED, OWN)


@pytest.mark.case("F4")
def test_a_sound_node_takes_work() -> None:
    assert why_unusable(SOUND, TOLERATED, 8) is None
    assert why_unusable(replace(SOUND, taints=(Taint("x", "", "PreferNoSchedule"),)), TOLERATED, 8) is None
    assert why_unusable(replace(SOUND, gpus=0), TOLERATED, 0) is None


@pytest.mark.case("F4")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_cordoned": True}, Reason.CORDONED),
        ({"is_ready": False}, Reason.NODE_NOT_READY),
        ({"is_deleting": True}, Reason.NODE_DELETING),
        (
            {"taints": (SIMULATED, Taint("node.kubernetes.io/unreachable", "", "NoExecute"))},
            Reason.NODE_TAINTED,
        ),
        ({"taints": (Taint("node.kubernetes.io/disk-pressure"),)}, Reason.NODE_TAINTED),
        ({"taints": (Taint("somebody/else", "", "NoSchedule"),)}, Reason.NODE_TAINTED),
        # The pool's own taint with another value is not the one that pods tolerate.
        ({"taints": (replace(OWN, value="no"),)}, Reason.NODE_TAINTED),
        ({"taints": (replace(SIMULATED, value="maybe"),)}, Reason.NODE_TAINTED),
        ({"pressures": ("MemoryPressure",)}, Reason.NODE_PRESSURE),
        ({"pressures": ("NetworkUnavailable",)}, Reason.NODE_PRESSURE),
        ({"gpus": 7}, Reason.GPUS_MISSING),
        ({"pods": 0}, Reason.NODE_PRESSURE),
    ],
)
def test_each_reason_of_the_scheduler_makes_the_node_unusable(
    change: dict[str, object], reason: Reason
) -> None:
    trouble = why_unusable(replace(SOUND, **change), TOLERATED, 8)  # type: ignore[arg-type]
    assert trouble is not None
    assert trouble.reason is reason
    assert trouble.message


@pytest.mark.case("F4")
def test_nodes_are_judged_by_what_tenants_pods_really_tolerate() -> None:
    """Both ends from the real builders: what a pod tolerates, and what a claim counts as tolerated."""
    taints = [{"key": "example.org/confidential", "value": "yes", "effect": "NoSchedule"}]
    spec = {"poolRef": "p", "ordinal": 0, "nodeTaints": taints, "accelerator": {"sku": "b300", "count": 8}}
    counted = claim_facts({"metadata": {"name": "p-0", "uid": "u"}, "spec": spec}).tolerated
    pod = build(deployment(simulated=True, nodePools=["p"]))
    told = {(each["key"], each["value"], each["effect"]) for each in pod["spec"]["tolerations"]}
    assert {(taint.key, taint.value, taint.effect) for taint in counted} == told
