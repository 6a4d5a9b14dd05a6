"""News about objects: deduplicated, bounded, and never in the way of a reconcile."""

import asyncio
from typing import Any

import pytest

from operators.lib.access import Access
from operators.lib.client import KubernetesClient
from operators.lib.clock import SystemClock
from operators.lib.errors import AlreadyExists, Forbidden
from operators.lib.events import MESSAGE_LENGTH_MAX, REPEAT_S, WAITING_MAX, EventRecorder
from operators.lib.objects import Obj, ObjectKey, Resource

CLAIM = {"apiVersion": "rempart.eu/v1alpha1", "kind": "NodeClaim", "metadata": {"name": "p-0", "uid": "u"}}


class Clock(SystemClock):
    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


class Recorded(KubernetesClient):
    """A client that keeps what it was asked to write."""

    def __init__(self, answer: Exception | None = None) -> None:
        super().__init__(Access("http://127.0.0.1:1", None, lambda: None))
        self.created: list[Obj] = []
        self.patched: list[Obj] = []
        self.answer = answer

    async def create(self, resource: Resource, obj: Obj, *, manager: str) -> Obj:
        self.created.append(obj)
        if self.answer is not None:
            raise self.answer
        return obj

    async def patch(self, resource: Resource, key: ObjectKey, patch: Obj, **_: Any) -> Obj:
        self.patched.append(patch)
        return patch


async def drained(recorder: EventRecorder) -> None:
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.case("F21")
async def test_the_same_news_is_one_event_and_bad_news_never_stops_a_reconcile() -> None:
    client, clock = Recorded(), Clock()
    recorder = EventRecorder(client, clock, "me")
    for _ in range(50):
        recorder.record(CLAIM, "Draining", "1 pod is left", is_warning=True)
    recorder.record(CLAIM, "Draining", "x" * 5000)
    await drained(recorder)
    assert [event["type"] for event in client.created] == ["Warning", "Normal"]
    assert [len(event["message"]) for event in client.created] == [13, MESSAGE_LENGTH_MAX]
    assert client.created[0]["metadata"]["namespace"] == "default"
    assert client.created[0]["involvedObject"]["uid"] == "u"
    clock.at = REPEAT_S
    recorder.record(CLAIM, "Draining", "1 pod is left")
    await drained(recorder)
    assert [patch["count"] for patch in client.patched] == [51]
    for number in range(WAITING_MAX + 5):
        recorder.record(CLAIM, "Many", str(number))
    assert sum(
        sample.value
        for metric in client.metrics.events.collect()
        for sample in metric.samples
        if sample.labels.get("outcome") == "dropped" and sample.name.endswith("_total")
    ) == 5  # fmt: skip


@pytest.mark.case("F21")
@pytest.mark.parametrize(
    "answer", [Forbidden(403, "Forbidden", "no"), AlreadyExists(409, "AlreadyExists", "yes")]
)
async def test_an_event_that_is_refused_or_was_told_before_a_restart_is_no_fault(answer: Exception) -> None:
    client = Recorded(answer)
    recorder = EventRecorder(client, Clock(), "me")
    recorder.record(CLAIM, "Draining", "1 pod is left")
    await drained(recorder)
    assert len(client.created) == 1
    assert len(client.patched) == isinstance(answer, AlreadyExists)
