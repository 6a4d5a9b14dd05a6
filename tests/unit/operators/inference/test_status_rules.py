"""Phases and conditions a person can act on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from operators.apis.v1alpha1 import InferenceDeploymentStatus, InferencePhase
from operators.inference.milestone_rules import Milestones, RecordedSteps, Stamp, observe_milestones, steps_of
from operators.inference.scaling_rules import ScalingDecision, ScalingMemory, ScalingReason
from operators.inference.status_rules import Situation, build_status, decide_conditions, decide_phase
from operators.inference.views import PodView, is_lost
from tests.unit.operators.inference.pods import T0, failed, loading, ready

NO_NODE = {"node": None, "problem_reason": "Unschedulable", "problem_message": "0/3 nodes are available"}
NO_IMAGE = {"problem_reason": "ErrImagePull", "problem_message": "not found"}


def situation(desired: int, *pods: PodView, **changes: object) -> Situation:
    made = Situation(
        generation=3,
        is_paused=False,
        is_deleting=False,
        replicas_min=1,
        selector="a=b",
        pods=pods,
        serving=frozenset(pod.name for pod in pods if pod.is_ready and pod.is_current),
        milestones={},
        decision=ScalingDecision(desired, ScalingReason.DEMAND, ScalingMemory(), None),
        is_settled=True,
        refusal="",
    )
    return replace(made, **changes)


CASES = [
    ("asleep", situation(0), "SLEEPING", "True", "Idle"),
    ("serving", situation(1, ready()), "HEALTHY", "True", "Serving"),
    ("not placed yet", situation(1, loading(node=None)), "PENDING", "False", "Starting"),
    ("waking", situation(1, loading(), replicas_min=0), "STARTING", "True", "Waking"),
    ("starting", situation(1, loading()), "STARTING", "False", "Starting"),
    ("no node", situation(1, loading(**NO_NODE)), "PENDING", "False", "Unschedulable"),
    ("no image", situation(1, loading(**NO_IMAGE)), "UNHEALTHY", "False", "ErrImagePull"),
    ("failed", situation(1, failed()), "UNHEALTHY", "False", "Error"),
    ("refused", situation(1, refusal="exceeded quota"), "PENDING", "False", "PodRefused"),
    ("half", situation(2, ready(), failed(1)), "DEGRADED", "True", "Degraded"),
    ("growing", situation(2, ready(), loading(1)), "HEALTHY", "True", "Serving"),
    ("pausing", situation(0, ready(), is_paused=True), "STOPPING", "False", "Paused"),
    ("paused", situation(0, is_paused=True), "STOPPED", "False", "Paused"),
    ("deleting", situation(0, ready(), is_deleting=True), "STOPPING", "False", "Deleting"),
]


@pytest.mark.parametrize(
    ("case", "phase", "status", "reason"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_phase_and_readiness(case: Situation, phase: str, status: str, reason: str) -> None:
    assert decide_phase(case).value == phase
    ready_condition = decide_conditions(case)[0]
    assert (ready_condition.status, ready_condition.reason) == (status, reason)
    InferenceDeploymentStatus.model_validate(build_status(case, None))


class TestMessages:
    def test_the_scheduler_and_the_kubelet_are_quoted(self) -> None:
        message = decide_conditions(situation(1, loading(**NO_NODE)))[0].message
        assert message == "no node fits: 0/3 nodes are available"
        message = decide_conditions(situation(1, loading(**NO_IMAGE)))[0].message
        assert message == "the engine's image cannot be pulled: not found"

    def test_a_broken_image_is_named_before_a_full_cluster(self) -> None:
        both = situation(2, loading(0, **NO_NODE), loading(1, **NO_IMAGE))
        assert decide_conditions(both)[0].reason == "ErrImagePull"

    def test_a_replica_that_stopped_answering_is_unhealthy(self) -> None:
        pod = ready(is_ready=False, ready_at=None)
        known = {pod.uid: Milestones(ready=Stamp(T0, T0))}
        case = situation(1, pod, serving=frozenset(), milestones=known)
        assert decide_phase(case) is InferencePhase.UNHEALTHY
        assert decide_conditions(case)[0].reason == "NotReady"

    def test_a_long_complaint_is_cut_to_the_field(self) -> None:
        pod = loading(node=None, problem_reason="Unschedulable", problem_message="x" * 5000)
        (instance,) = build_status(situation(1, pod), None)["instances"]
        assert len(instance["message"]) == 1024

    def test_active_and_ready_differ_when_asleep(self) -> None:
        ready_condition, active, progressing = decide_conditions(situation(0))
        assert (ready_condition.status, active.status, progressing.status) == ("True", "False", "False")


class TestColdStart:
    def test_the_newest_start_from_zero_is_shown(self) -> None:
        old = ready(0, wanted_at=T0, created_at=T0)
        new = ready(0, 1, wanted_at=T0 + timedelta(seconds=9), created_at=T0 + timedelta(seconds=10))
        shown = build_status(situation(1, old, new), None)["lastColdStart"]
        assert (shown["instance"], shown["wantedAt"]) == ("chat-0-1", "2026-11-21T12:00:09.000000Z")

    def test_the_last_one_stays_when_its_replica_is_gone(self) -> None:
        assert build_status(situation(0), {"instance": "gone"})["lastColdStart"] == {"instance": "gone"}

    def test_a_replica_kept_by_the_minimum_is_no_cold_start(self) -> None:
        assert "lastColdStart" not in build_status(situation(1, ready()), None)


class TestMilestones:
    def test_our_own_reading_is_kept_when_it_agrees(self) -> None:
        seen_at = T0 + timedelta(seconds=0.4)
        first = observe_milestones(None, ready(), RecordedSteps(), seen_at)
        again = observe_milestones(first, ready(), RecordedSteps(), seen_at + timedelta(seconds=9))
        assert first == again
        assert first.ready == Stamp(T0, seen_at)

    def test_after_a_restart_the_recorded_step_is_kept(self) -> None:
        recorded = RecordedSteps(ready_at=T0 + timedelta(seconds=0.7))
        found = observe_milestones(None, ready(), recorded, T0 + timedelta(hours=1))
        assert found.ready == Stamp(T0, T0 + timedelta(seconds=0.7))
        assert found.started == Stamp(T0, T0)

    def test_steps_are_in_order_whatever_was_cut(self) -> None:
        stamps = Milestones(*(Stamp(T0, T0) for _ in range(3)))
        created_at = T0 + timedelta(seconds=0.9)
        assert steps_of(stamps, created_at) == RecordedSteps(created_at, created_at, created_at)


WAS_READY = {"uid-chat-0-0": Milestones(ready=Stamp(T0, T0))}


@pytest.mark.case("F28")
@pytest.mark.parametrize(
    "changes",
    [{}, {"problem_reason": "CrashLoopBackOff", "problem_message": "x"}, {"started_at": None}],
    ids=["was ready", "says something else", "on its way"],
)
def test_lost_machine_is_named_before_what_the_pod_says_of_itself(changes: dict[str, Any]) -> None:
    pod = ready(is_ready=False, unready_since=T0, **changes)
    lost = situation(1, pod, milestones=WAS_READY, lost_nodes=frozenset({"node-1"}))
    condition = decide_conditions(lost)[0]
    assert condition.reason == "NodeLost"
    assert "machine it ran on was lost" in condition.message
    assert "health check" not in condition.message
    here = situation(1, pod, milestones=WAS_READY, lost_nodes=frozenset({"node-2"}))
    assert decide_conditions(here)[0].reason != "NodeLost"
    still = situation(1, ready(), lost_nodes=frozenset({"node-1"}))
    assert decide_conditions(still)[0].reason == "Serving"


@pytest.mark.case("F28")
@pytest.mark.parametrize(
    ("node", "is_it"),
    [
        (None, True),
        ({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, True),
        ({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, True),
        ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, False),
        ({"status": {}}, False),
    ],
)
def test_machine_is_lost_when_it_is_gone_or_does_not_report(node: dict[str, Any] | None, is_it: bool) -> None:
    assert is_lost(node) is is_it
