"""The watcher against the real API server and real rows."""

from __future__ import annotations

import threading
import time

import pytest

from controlplane.capacity import service as capacity
from controlplane.capacity.domain import ProviderKind
from controlplane.entrypoints.watcher import KindWatcher, make_watchers, supervised
from controlplane.entrypoints.wiring import make_context
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.database import Database
from controlplane.plumbing.pulse import Pulse
from controlplane.plumbing.settings import Settings
from tests.fixtures.companies import add_company
from tests.fixtures.kubernetes import KubernetesApi

# Foreground deletion is finished by the garbage collector, which may just have started.
GONE_SECONDS = 60

POOL = {
    "apiVersion": "rempart.eu/v1alpha1",
    "kind": "GPUNodePool",
    "metadata": {"name": "watched"},
    "spec": {
        "datacenter": "essonne-1",
        "cell": "essonne-1-a",
        "provider": {"kind": "kwok"},
        "instanceType": "b300-8x",
        "cpuMilli": 1000,
        "memoryMiB": 1024,
        "replicas": 0,
    },
}


def want_pool(database: Database) -> None:
    with database.system() as uow:
        entity = add_company(uow, "Centre Essonne SAS")
        capacity.create_datacenter(
            uow, actor="key_t", code="essonne-1", name="Essonne", country="FR", operator_entity_id=entity,
            owner_entity_id=entity, power_kw=1000, rack_kw_max=130, pue_milli=1200, cells=("essonne-1-a",),
        )  # fmt: skip
        capacity.create_node_pool(
            uow, actor="key_t", name="watched", datacenter_code="essonne-1", cell_name="essonne-1-a",
            provider=ProviderKind.KWOK, instance_type="b300-8x", accelerator_sku=None, gpus_per_node=0,
            cpu_milli_per_node=1000, memory_mib_per_node=1024, watts_per_node=100, replicas=0,
        )  # fmt: skip


class TestKindWatcher:
    def test_a_report_reaches_its_row_and_a_deletion_while_nobody_watched_is_found(
        self, settings: Settings, database: Database, kubernetes_api: KubernetesApi
    ) -> None:
        want_pool(database)
        clusters = Clusters(kubernetes_api.kubeconfigs["admin"])
        clusters.apply(POOL)
        context = make_context(
            settings.model_copy(update={"kubeconfig": kubernetes_api.kubeconfigs["admin"]})
        )
        pools, _, _ = make_watchers(context, threading.Event(), Pulse(None, ()))
        try:
            pools.take_over_list()
            assert ("", "watched") in pools.known
        finally:
            clusters.delete("GPUNodePool", None, "watched")
        deadline = time.monotonic() + GONE_SECONDS
        while clusters.find("GPUNodePool", None, "watched") is not None:
            assert time.monotonic() < deadline, "the API server did not finish the deletion"
            time.sleep(0.05)
        pools.take_over_list()
        assert ("", "watched") not in pools.known
        context.database.dispose()

    def test_each_list_tells_an_unchanged_object_again_where_that_is_asked(
        self, settings: Settings, kubernetes_api: KubernetesApi
    ) -> None:
        clusters = Clusters(kubernetes_api.kubeconfigs["admin"])
        clusters.apply({**POOL, "metadata": {"name": "told-again"}})
        context = make_context(
            settings.model_copy(update={"kubeconfig": kubernetes_api.kubeconfigs["admin"]})
        )
        told: dict[bool, list[str]] = {True: [], False: []}
        try:
            for is_reread, names in told.items():
                watcher = KindWatcher(
                    context,
                    "GPUNodePool",
                    lambda _, item, names=names: names.append(item["metadata"]["name"]),  # type: ignore[misc]
                    lambda *_: None,
                    lambda *_: None,
                    threading.Event(),
                    Pulse(None, ()),
                    is_reread=is_reread,
                )
                for _ in range(2):
                    watcher.take_over_list()
        finally:
            clusters.delete("GPUNodePool", None, "told-again")
        assert told[True].count("told-again") == 2
        assert told[False].count("told-again") == 1
        context.database.dispose()


class TestSupervised:
    def test_a_surprise_in_one_loop_ends_the_process_and_not_the_loop_alone(self) -> None:
        stopping, broken = threading.Event(), threading.Event()

        def fail() -> None:
            raise LookupError("nobody expected this")

        with pytest.raises(LookupError):
            supervised(fail, stopping, broken)()
        assert stopping.is_set()
        assert broken.is_set()
