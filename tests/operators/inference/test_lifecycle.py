"""InferenceDeployments on a real API server: wake, sleep, heal, replace, refuse, go."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from operators.apis.v1alpha1 import InferenceDeployment
from operators.inference.replica_rules import PodToCreate
from operators.inference.resources import PodStamps, build_pod, hash_template, name_pod
from operators.lib.conditions import find_condition, is_condition_true
from operators.lib.objects import INFERENCE_DEPLOYMENTS, PODS, Obj, ObjectKey, Resource
from tests.operators.inference.world import MANAGER, Cell, eventually, rdp_of

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota", True)


async def gone(cell: Cell, uid: str) -> None:
    async def probe() -> bool:
        return all(pod["metadata"]["uid"] != uid for pod in await cell.pods())

    await eventually(probe, "the pod is gone")


class TestWake:
    async def test_demand_wakes_a_sleeping_service_and_idleness_puts_it_back(self, cell: Cell) -> None:
        deployment = cell.deployment()
        async with cell.operator():
            await cell.apply(deployment)
            asleep = await cell.wait_phase(deployment, "SLEEPING")
            assert is_condition_true(asleep["status"]["conditions"], "Ready")
            assert not is_condition_true(asleep["status"]["conditions"], "Active")
            assert await cell.pods() == []
            async with cell.under_demand(deployment, waiting=1):
                (endpoint,) = await cell.wait_endpoints(deployment, 1)
                awake = await cell.wait_phase(deployment, "HEALTHY")
            (pod,) = await cell.pods()
            assert endpoint == {
                "address": pod["status"]["podIP"],
                "port": 8000,
                "instance": pod["metadata"]["name"],
            }
            assert awake["status"]["readyReplicas"] == 1
            assert is_condition_true(awake["status"]["conditions"], "Active")
            await cell.wait_phase(deployment, "SLEEPING")
            await gone(cell, pod["metadata"]["uid"])
            assert await cell.endpoints(deployment) == []

    async def test_cold_start_is_broken_down_in_order(self, cell: Cell) -> None:
        deployment = cell.deployment()
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "SLEEPING")
            async with cell.under_demand(deployment, waiting=1):
                awake = await cell.wait_phase(deployment, "HEALTHY")
            start = awake["status"]["lastColdStart"]
            steps = ["wantedAt", "podCreatedAt", "scheduledAt", "startedAt", "readyAt"]
            assert [start[step] for step in steps] == sorted(start[step] for step in steps)
            assert start["instance"] == awake["status"]["instances"][0]["name"]

    async def test_more_load_runs_more_replicas_up_to_the_maximum(self, cell: Cell) -> None:
        deployment = cell.deployment()
        async with cell.operator():
            await cell.apply(deployment)
            async with cell.under_demand(deployment, in_flight=40):
                await cell.wait_endpoints(deployment, 2)
                pods = await cell.live_pods()
                assert sorted(pod["metadata"]["labels"]["rempart.eu/replica-index"] for pod in pods) == [
                    "0",
                    "1",
                ]

    async def test_a_record_without_its_message_wakes_within_a_poll(self, cell: Cell) -> None:
        deployment = cell.deployment()
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "SLEEPING")
            record = {"wanted": True, "in_flight": 0, "waiting": 1, "first_waiting_at": None, "at": None}
            await cell.redis.set(f"rempart:demand:{rdp_of(deployment)}", orjson.dumps(record))
            await cell.wait_endpoints(deployment, 1)


class TestStop:
    async def test_endpoint_is_withdrawn_before_its_pod_is_deleted(self, cell: Cell) -> None:
        deployment = cell.deployment()
        async with cell.operator():
            await cell.apply(deployment)
            async with cell.under_demand(deployment, waiting=1):
                await cell.wait_endpoints(deployment, 1)
            await cell.wait_endpoints(deployment, 0)
            (pod,) = await cell.pods()
            assert not pod["metadata"].get("deletionTimestamp")
            await gone(cell, pod["metadata"]["uid"])

    async def test_demand_during_a_drain_takes_the_replica_back(self, cell: Cell) -> None:
        deployment = cell.deployment(drainSeconds=60)
        async with cell.operator():
            applied = await cell.apply(deployment)
            async with cell.under_demand(deployment, in_flight=1):
                (endpoint,) = await cell.wait_endpoints(deployment, 1)
                # Paused with a request in flight: the drain lasts until the request ends.
                applied["spec"]["paused"] = deployment["spec"]["paused"] = True
                await cell.apply(deployment)
                await cell.wait_endpoints(deployment, 0)
                deployment["spec"]["paused"] = False
                await cell.apply(deployment)
                (again,) = await cell.wait_endpoints(deployment, 1)
            assert again == endpoint
            assert len(await cell.pods()) == 1

    async def test_pause_stops_all_and_resume_starts_again(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 1, "max": 1})
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "HEALTHY")
            deployment["spec"]["paused"] = True
            await cell.apply(deployment)
            stopped = await cell.wait_phase(deployment, "STOPPED")
            assert await cell.pods() == []
            ready = find_condition(stopped["status"]["conditions"], "Ready")
            assert ready is not None
            assert ready["reason"] == "Paused"
            deployment["spec"]["paused"] = False
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "HEALTHY")

    async def test_deleted_resource_leaves_neither_pods_nor_endpoints(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 2, "max": 2})
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_endpoints(deployment, 2)
            await cell.client.delete(
                INFERENCE_DEPLOYMENTS, ObjectKey(cell.namespace, deployment["metadata"]["name"])
            )

            async def is_gone() -> bool:
                return await cell.find(deployment) is None

            await eventually(is_gone, "the resource is gone")
            assert await cell.pods() == []
            assert await cell.endpoints(deployment) is None


class TestHeal:
    async def test_pod_deleted_by_hand_is_replaced(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 1, "max": 1})
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "HEALTHY")
            (pod,) = await cell.pods()
            key = ObjectKey(cell.namespace, pod["metadata"]["name"])
            await cell.client.delete(PODS, key, grace_s=0)

            async def probe() -> Obj | None:
                live = await cell.live_pods()
                return live[0] if live and live[0]["metadata"]["uid"] != pod["metadata"]["uid"] else None

            replacement = await eventually(probe, "another pod")
            (endpoint,) = await cell.wait_endpoints(deployment, 1)
            assert endpoint["instance"] == replacement["metadata"]["name"]

    async def test_failed_pod_is_replaced_after_its_back_off(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 1, "max": 1})
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "HEALTHY")
            (pod,) = await cell.pods()
            key = ObjectKey(cell.namespace, pod["metadata"]["name"])
            failed = {
                "status": {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"}
            }
            await cell.client.patch(PODS, key, failed, manager=MANAGER, subresource="status")

            async def probe() -> Obj | None:
                live = [each for each in await cell.live_pods() if each["status"].get("phase") == "Running"]
                return live[0] if len(live) == 1 else None

            replacement = await eventually(probe, "a replacement runs")
            assert replacement["metadata"]["annotations"]["rempart.eu/failures"] == "1"
            await gone(cell, pod["metadata"]["uid"])

    async def test_changed_template_is_rolled_out_without_a_gap(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 1, "max": 1})
        async with cell.operator():
            await cell.apply(deployment)
            (before,) = await cell.wait_endpoints(deployment, 1)
            (old,) = await cell.pods()
            async with cell.redis.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe("rempart:changed")
                deployment["spec"]["env"] = [{"key": "LOG_LEVEL", "value": "debug"}]
                await cell.apply(deployment)

                async def probe() -> bool:
                    await channel.get_message(timeout=0.05)
                    endpoints = await cell.endpoints(deployment)
                    assert endpoints, "a service with a minimum of one had no endpoint"
                    return [each["instance"] for each in endpoints] not in ([before["instance"]], [])

                await eventually(probe, "another endpoint")
            await gone(cell, old["metadata"]["uid"])
            (after,) = await cell.wait_endpoints(deployment, 1)
            assert after["instance"] != before["instance"]


class TestTrouble:
    async def test_no_node_that_fits_is_said_in_the_status(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 1, "max": 1}, accelerator={"sku": "b300", "count": 16})
        async with cell.operator():
            await cell.apply(deployment)

            async def probe() -> dict[str, Any] | None:
                found = await cell.find(deployment)
                conditions = ((found or {}).get("status") or {}).get("conditions") or []
                ready = find_condition(conditions, "Ready")
                # A node that has just joined is tainted for a moment: the last reason is the one that stays.
                is_said = ready is not None and "nvidia.com/gpu" in ready["message"]
                return dict(ready) if ready is not None and is_said else None

            ready = await eventually(probe, "the missing GPUs are named")
            assert ready["reason"] == "Unschedulable"
            assert ready["message"].startswith("no node fits")
            await cell.wait_phase(deployment, "PENDING")

    async def test_refused_pod_is_said_in_the_status_and_tried_again(self, cell: Cell) -> None:
        quota = {"metadata": {"name": "none", "namespace": cell.namespace}, "spec": {"hard": {"pods": "0"}}}
        await cell.client.create(QUOTAS, quota, manager=MANAGER)
        quota_key = ObjectKey(cell.namespace, "none")

        async def is_enforced() -> bool:
            found = await cell.client.get(QUOTAS, quota_key)
            return "hard" in (found.get("status") or {})

        await eventually(is_enforced, "the quota is enforced")
        deployment = cell.deployment(replicas={"min": 1, "max": 1})
        async with cell.operator():
            await cell.apply(deployment)

            async def probe() -> bool:
                found = await cell.find(deployment)
                conditions = ((found or {}).get("status") or {}).get("conditions") or []
                ready = find_condition(conditions, "Ready")
                return ready is not None and ready["reason"] == "PodRefused" and "quota" in ready["message"]

            await eventually(probe, "PodRefused")
            await cell.client.delete(QUOTAS, quota_key)
            await cell.wait_phase(deployment, "HEALTHY")

    async def test_a_stranger_with_our_name_is_said_and_left_alone(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 1, "max": 1}, paused=True)
        applied = InferenceDeployment.model_validate(await cell.apply(deployment))
        name = name_pod(applied, PodToCreate(0, 0, 0), hash_template(applied))
        stranger = build_pod(applied, PodToCreate(0, 0, 0), PodStamps(datetime.now(UTC), None))
        stranger["metadata"] = {"name": name, "namespace": cell.namespace}
        await cell.client.create(PODS, stranger, manager=MANAGER)
        deployment["spec"]["paused"] = False
        await cell.apply(deployment)
        async with cell.operator():

            async def probe() -> bool:
                found = await cell.find(deployment)
                conditions = ((found or {}).get("status") or {}).get("conditions") or []
                ready = find_condition(conditions, "Ready")
                return ready is not None and name in ready["message"]

            await eventually(probe, "the stranger is named")
            assert [pod["metadata"]["name"] for pod in await cell.live_pods()] == [name]
            await cell.client.delete(PODS, ObjectKey(cell.namespace, name), grace_s=0)
            await cell.wait_phase(deployment, "HEALTHY")

    async def test_flushed_redis_is_asserted_again_and_kills_nothing(self, cell: Cell) -> None:
        deployment = cell.deployment()
        async with cell.operator():
            await cell.apply(deployment)
            async with cell.under_demand(deployment, in_flight=1):
                before = await cell.wait_endpoints(deployment, 1)
                await cell.redis.flushall()
                assert await cell.wait_endpoints(deployment, 1) == before
                (pod,) = await cell.pods()
                assert pod["metadata"]["name"] == before[0]["instance"]
                assert "rempart.eu/draining-since" not in pod["metadata"]["annotations"]


async def test_reconciling_an_idle_deployment_writes_nothing(cell: Cell) -> None:
    deployment = cell.deployment(replicas={"min": 1, "max": 1})
    async with cell.operator() as manager:
        await cell.apply(deployment)
        await cell.wait_phase(deployment, "HEALTHY")
        (controller,) = [each for each in manager.controllers if each.name == "inference"]
        key = ObjectKey(cell.namespace, deployment["metadata"]["name"])

        async def is_idle() -> bool:
            return manager.is_idle

        await eventually(is_idle, "settled")
        before = manager.client.metrics.writes_total()
        for _ in range(20):
            controller.enqueue(key)
            await asyncio.sleep(0)
            await eventually(is_idle, "reconciled")
        assert manager.client.metrics.writes_total() == before


class TestFirstStart:
    @pytest.mark.case("S5")
    async def test_new_version_is_started_once_without_demand_and_sleeps_afterwards(self, cell: Cell) -> None:
        scaling = {"concurrencyPerReplica": 4, "idleSeconds": 1, "initialReplicas": 1}
        deployment = cell.deployment(scaling=scaling)
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_endpoints(deployment, 1)
            awake = await cell.wait_phase(deployment, "HEALTHY")
            assert awake["status"]["firstReadyAt"]
            asleep = await cell.wait_phase(deployment, "SLEEPING")
            assert asleep["status"]["firstReadyAt"] == awake["status"]["firstReadyAt"]
        # A successor reads the proof from the status: it starts nothing.
        async with cell.operator():
            await asyncio.sleep(2)
            assert await cell.live_pods() == []

    @pytest.mark.case("S5")
    async def test_version_that_finds_no_machine_never_says_that_it_sleeps(self, cell: Cell) -> None:
        scaling = {"concurrencyPerReplica": 4, "idleSeconds": 1, "initialReplicas": 1}
        deployment = cell.deployment(scaling=scaling, nodePools=["nowhere"])
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_phase(deployment, "PENDING")
            await asyncio.sleep(4)
            found = await cell.wait_phase(deployment, "PENDING")
            assert "firstReadyAt" not in found["status"]


class TestHung:
    @pytest.mark.case("X10")
    async def test_replica_that_was_ready_and_does_not_answer_is_replaced(self, cell: Cell) -> None:
        deployment = cell.deployment(replicas={"min": 1, "max": 1})
        async with cell.operator():
            await cell.apply(deployment)
            await cell.wait_endpoints(deployment, 1)
            (hung,) = await cell.live_pods()
            name = hung["metadata"]["name"]
            running = {"name": "engine", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
            status = {
                "conditions": [
                    {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T00:00:00Z"}
                ],
                "containerStatuses": [running],
            }

            async def is_replaced() -> bool:
                # What plays the node mends it at once: it is kept as it was found.
                patch_status(cell, "pod", name, status)
                return hung["metadata"]["uid"] not in [
                    pod["metadata"]["uid"] for pod in await cell.live_pods()
                ]

            await eventually(is_replaced, "the replica is replaced")
            await gone(cell, hung["metadata"]["uid"])
            await cell.wait_endpoints(deployment, 1)
            (fresh,) = await cell.live_pods()
            assert fresh["metadata"]["uid"] != hung["metadata"]["uid"]


def patch_status(cell: Cell, kind: str, name: str, status: Obj) -> None:
    """Say something of an object in its node's place; an object that is gone takes no word."""
    place = ["-n", cell.namespace] if kind == "pod" else []
    body = orjson.dumps({"status": status}).decode()
    cell.api.try_kubectl("patch", kind, name, *place, "--subresource=status", "--type=strategic", "-p", body)
