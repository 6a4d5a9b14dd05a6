"""GPU intervals on a real API server: numbered at bind, beaten while held, closed when freed."""

from __future__ import annotations

from typing import Any

from controlplane.spool.segments import list_segments, read_segment, segment_path
from operators.lib.objects import PODS, ObjectKey
from tests.operators.inference.world import Cell, eventually


def records(cell: Cell, phase: str = "") -> list[dict[str, Any]]:
    """Spooled events of this cell's node, oldest first."""
    directory = cell.state_dir / "spool" / "allocation"
    found = [
        event
        for number in list_segments(directory)
        for event in read_segment(segment_path(directory, number))
    ]
    mine = [event for event in found if event["data"]["node"] == f"node-{cell.suffix}"]
    return [event for event in mine if not phase or event["data"]["phase"] == phase]


async def wait_records(cell: Cell, phase: str, count: int) -> list[dict[str, Any]]:
    async def probe() -> list[dict[str, Any]] | None:
        found = records(cell, phase)
        return found if len(found) >= count else None

    return await eventually(probe, f"{count} records {phase}")


async def wait_told_gpus(cell: Cell, deployment: dict[str, Any], wanted: list[tuple[str, ...]]) -> None:
    """The status says which GPUs each instance holds; it follows the pods' annotations."""

    async def probe() -> bool:
        status = (await cell.wait_phase(deployment, "HEALTHY"))["status"]
        return sorted(tuple(each["gpus"]) for each in status["instances"]) == wanted

    await eventually(probe, f"instances with {wanted}")


class TestAllocation:
    async def test_two_replicas_of_four_gpus_fill_an_eight_gpu_node(self, cell: Cell) -> None:
        deployment = cell.deployment(
            replicas={"min": 2, "max": 2}, accelerator={"sku": "b300", "count": 4}, drainSeconds=0
        )
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_endpoints(deployment, 2)
            opened = await wait_records(cell, "open", 8)
            assert sorted(event["data"]["gpu_index"] for event in opened) == list(range(8))
            pods = await cell.pods()
            given = [pod["metadata"]["annotations"]["rempart.eu/gpus"] for pod in pods]
            assert sorted(given) == ["0,1,2,3", "4,5,6,7"]
            await wait_told_gpus(cell, deployment, [("0", "1", "2", "3"), ("4", "5", "6", "7")])
            data = opened[0]["data"]
            assert data["tenant_id"] == deployment["spec"]["tenantId"]
            assert data["project_id"] == deployment["spec"]["projectId"]
            assert data["sku"] == "b300"
            assert data["simulated"] is True
            assert opened[0]["source"] == "/cells/cell-1"
            deployment["spec"]["paused"] = True
            await cell.apply(deployment)
            closed = await wait_records(cell, "close", 8)
            assert {event["data"]["reason"] for event in closed} == {"PodGone"}
            for event in closed:
                assert event["data"]["opened_at"] <= event["data"]["observed_at"]

    async def test_freed_gpus_are_given_again_without_overlap(self, cell: Cell) -> None:
        deployment = cell.deployment(
            replicas={"min": 1, "max": 1}, accelerator={"sku": "b300", "count": 8}, drainSeconds=0
        )
        async with cell.operator():
            await cell.apply(deployment)
            await wait_records(cell, "open", 8)
            (pod,) = await cell.pods()
            await cell.client.delete(PODS, ObjectKey(cell.namespace, pod["metadata"]["name"]), grace_s=0)
            opened = await wait_records(cell, "open", 16)
            closed = await wait_records(cell, "close", 8)
        ends = {event["data"]["gpu_index"]: event["data"]["observed_at"] for event in closed}
        for event in opened[8:]:
            assert event["data"]["opened_at"] >= ends[event["data"]["gpu_index"]]

    async def test_a_restarted_operator_continues_open_intervals_and_closes_lost_ones(
        self, cell: Cell
    ) -> None:
        deployment = cell.deployment(
            replicas={"min": 2, "max": 2}, accelerator={"sku": "b300", "count": 4}, drainSeconds=0
        )
        async with cell.operator():
            await cell.apply(deployment)
            await wait_records(cell, "open", 8)
            await cell.wait_phase(deployment, "HEALTHY")
        kept, lost = await cell.pods()
        last_seen = max(event["data"]["observed_at"] for event in records(cell, "open"))
        await cell.client.delete(PODS, ObjectKey(cell.namespace, lost["metadata"]["name"]), grace_s=0)
        async with cell.operator():
            closed = await wait_records(cell, "close", 4)
            opened = await wait_records(cell, "open", 12)
        assert {event["data"]["reason"] for event in closed} == {"PodGoneUnobserved"}
        assert all(event["data"]["observed_at"] <= last_seen for event in closed)
        assert {event["id"].split("/")[0] for event in closed} == {lost["metadata"]["uid"]}
        of_kept = [event for event in opened if event["id"].startswith(kept["metadata"]["uid"])]
        assert len(of_kept) == 4
