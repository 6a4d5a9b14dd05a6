"""Which pods hold GPUs, read from their JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from operators.allocation.allocation_rules import decide_records
from operators.allocation.events import event_of, read_event
from operators.allocation.views import format_gpus, gpu_count, observe_gpu_pod, observe_node

NOW = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)


def pod(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "metadata": {
            "name": "p",
            "namespace": "ns",
            "uid": "u",
            "creationTimestamp": "2026-11-21T12:00:00Z",
            "labels": {"rempart.eu/tenant": "org_1"},
            "annotations": {"rempart.eu/gpus": "2,3"},
        },
        "spec": {
            "nodeName": "n",
            "containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}],
        },
        "status": {"phase": "Running"},
    }
    for key, value in changes.items():
        made[key] = {**made[key], **value}
    return made


def test_where_a_gpu_was_held_is_told_with_each_record_and_read_back() -> None:
    labels = {"rempart.eu/tenant": "org_1", "rempart.eu/country": "FR"}
    held = observe_gpu_pod(pod(metadata={"labels": labels, "annotations": {"rempart.eu/gpus": "2"}}))
    assert held is not None
    place = {"metadata": {"name": "n", "labels": {"rempart.eu/datacenter": "essonne-1"}}}
    [record] = decide_records(observe_node(place, "c"), [held], {}, {}, NOW, is_recovering=False)
    event = event_of(record)
    assert (event["data"]["country"], event["data"]["datacenter"]) == ("FR", "essonne-1")
    read = read_event(event)
    assert read is not None
    assert read.interval == record.interval
    del event["data"]["country"]
    older = read_event(event)
    assert older is not None
    assert older.interval.country == ""


class TestPod:
    def test_a_bound_tenants_pod_with_gpus_counts(self) -> None:
        view = observe_gpu_pod(pod())
        assert view is not None
        assert (view.gpus, view.gpu_count, view.node, view.is_ended) == ((2, 3), 2, "n", False)
        assert format_gpus(view.gpus) == "2,3"

    @pytest.mark.parametrize(
        "changes",
        [
            {"metadata": {"labels": {}}},
            {"spec": {"nodeName": None}},
            {"spec": {"containers": [{"name": "cpu-only"}]}},
        ],
    )
    def test_a_pod_without_tenant_node_or_gpu_does_not(self, changes: dict[str, Any]) -> None:
        assert observe_gpu_pod(pod(**changes)) is None

    @pytest.mark.parametrize("value", ["", "x", "²", "-1", "1.5"])
    def test_a_hand_edited_annotation_gives_no_gpu(self, value: str) -> None:
        view = observe_gpu_pod(pod(metadata={"annotations": {"rempart.eu/gpus": value}}))
        assert view is not None
        assert view.gpus == ()

    def test_an_ended_pod_says_when(self) -> None:
        ended = {"state": {"terminated": {"finishedAt": "2026-11-21T12:30:00Z"}}}
        view = observe_gpu_pod(pod(status={"phase": "Succeeded", "containerStatuses": [ended]}))
        assert view is not None
        assert view.is_ended
        assert view.ended_at is not None
        assert view.ended_at.minute == 30


def test_gpus_of_all_containers_add_up() -> None:
    container = {"resources": {"limits": {"nvidia.com/gpu": "3"}}}
    assert gpu_count({"containers": [container, container, {}]}) == 6


def test_a_node_without_labels_is_real_and_in_this_cell() -> None:
    node = observe_node({"metadata": {"name": "n"}, "status": {"capacity": {"nvidia.com/gpu": "8"}}}, "c")
    assert (node.cell, node.gpu_total, node.is_simulated) == ("c", 8, False)
