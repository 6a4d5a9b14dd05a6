"""Pods as Kubernetes writes them, whole, half and edited by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from operators.inference.views import format_time, observe_pod, parse_time

SECOND = "2026-11-21T12:00:07Z"


def pod(status: dict[str, Any] | None = None, **annotations: str) -> dict[str, Any]:
    named = {f"rempart.eu/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "metadata": {
            "name": "chat-0-abcdef",
            "uid": "u",
            "creationTimestamp": SECOND,
            "labels": {"rempart.eu/replica-index": "1"},
            "annotations": named,
        },
        "spec": {"containers": [{"name": "engine", "ports": [{"name": "http", "containerPort": 8000}]}]},
        "status": status or {},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {
        "phase": "Pending",
        "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}],
    }


class TestObserve:
    def test_a_bare_pod_is_a_pending_replica(self) -> None:
        view = observe_pod(pod())
        assert (view.phase, view.is_ready, view.is_current, view.port) == ("Pending", False, True, 8000)

    def test_the_nodes_port_wins_over_the_containers(self) -> None:
        assert observe_pod(pod(port_http="40123")).port == 40123

    @pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "²", "9" * 5000])
    def test_a_hand_edited_annotation_reads_as_zero(self, value: str) -> None:
        view = observe_pod(pod(attempt=value, failures=value, port_http=value, draining_since=value))
        assert (view.attempt, view.failures, view.port, view.draining_since) == (0, 0, 8000, None)

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (waiting("ErrImagePull", "no such image"), "ErrImagePull"),
            (waiting("CrashLoopBackOff"), "CrashLoopBackOff"),
            (waiting("ContainerCreating"), ""),
            ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted"),
            ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, "Unschedulable"),
        ],
    )  # fmt: skip
    def test_what_keeps_a_replica_from_serving_is_named(self, status: dict[str, Any], reason: str) -> None:
        assert observe_pod(pod(status)).problem_reason == reason

    @pytest.mark.parametrize(
        ("told", "expected"),
        [("2026-11-21T12:00:07.250Z", 250_000), ("2026-11-21T12:00:09.250Z", 0), ("soon", 0)],
    )
    def test_a_nodes_sharper_instant_is_taken_within_the_reported_second(
        self, told: str, expected: int
    ) -> None:
        status = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": SECOND}]}
        ready_at = observe_pod(pod(status, ready_at=told)).ready_at
        assert ready_at is not None
        assert (ready_at.second, ready_at.microsecond) == (7, expected)


class TestTime:
    def test_an_instant_survives_the_wire(self) -> None:
        at = datetime(2026, 11, 21, 12, 0, 7, 123456, tzinfo=UTC)
        assert parse_time(format_time(at)) == at

    @pytest.mark.parametrize("text", [None, 7, "", "yesterday", "2026-11-21T12:00:07"])
    def test_what_is_no_aware_instant_is_none(self, text: object) -> None:
        assert parse_time(text) is None
