"""When an acceptance run is believed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.nodepool.acceptance_rules import (
    CHECKS_MAX,
    SIMULATED_CHECK,
    UnreadableChecks,
    parse_checks,
    read_acceptance,
)
from operators.nodepool.domain import ANNOTATION_NODE_UID, Outcome


def pod(phase: str, message: str | None = None) -> dict[str, Any]:
    terminated = [] if message is None else [{"state": {"terminated": {"exitCode": 0, "message": message}}}]
    return {
        "metadata": {"name": "acceptance-p-0", "annotations": {ANNOTATION_NODE_UID: "n"}},
        "status": {"phase": phase, "containerStatuses": terminated},
    }


def checks(*results: str) -> str:
    entries = [{"name": f"c{index}", "result": result, "detail": "x"} for index, result in enumerate(results)]
    return json.dumps({"checks": entries})


@pytest.mark.parametrize(
    ("phase", "message", "outcome", "failure"),
    [
        ("Running", None, Outcome.RUNNING, ""),
        ("Pending", None, Outcome.RUNNING, ""),
        ("Succeeded", checks("passed", "skipped"), Outcome.PASSED, ""),
        ("Succeeded", checks("passed", "failed"), Outcome.FAILED, "c1: x"),
        ("Failed", checks("passed"), Outcome.FAILED, "ended with an error"),
        ("Succeeded", checks("skipped"), Outcome.FAILED, "nothing was proven"),
        ("Succeeded", "all good", Outcome.FAILED, "not JSON"),
        ("Succeeded", None, Outcome.FAILED, "not JSON"),
        ("Succeeded", '{"checks": []}', Outcome.FAILED, "no list"),
    ],
)
def test_a_real_run_passes_only_with_readable_checks_that_passed(
    phase: str, message: str | None, outcome: Outcome, failure: str
) -> None:
    facts = read_acceptance(pod(phase, message), is_simulated=False)
    assert facts.outcome is outcome
    assert failure in facts.failure
    assert facts.node_uid == "n"


def test_a_simulated_run_says_so_whatever_its_pod_claims() -> None:
    facts = read_acceptance(pod("Succeeded", checks("passed")), is_simulated=True)
    assert (facts.outcome, facts.checks) == (Outcome.PASSED, (SIMULATED_CHECK,))
    assert read_acceptance(pod("Failed"), is_simulated=True).outcome is Outcome.FAILED


def test_a_real_run_cannot_call_itself_simulated() -> None:
    assert (
        read_acceptance(pod("Succeeded", checks("simulated")), is_simulated=False).outcome is Outcome.FAILED
    )


@given(st.text(max_size=60))
def test_any_text_is_refused_with_a_sentence(message: str) -> None:
    with pytest.raises(UnreadableChecks, match=" "):
        parse_checks(message)


def test_too_many_or_equal_checks_are_refused() -> None:
    with pytest.raises(UnreadableChecks):
        parse_checks(checks(*["passed"] * (CHECKS_MAX + 1)))
    twice = json.dumps({"checks": [{"name": "a", "result": "passed"}] * 2})
    with pytest.raises(UnreadableChecks, match="same name"):
        parse_checks(twice)
