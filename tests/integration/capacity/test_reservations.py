"""Reservations against real row locks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from controlplane.capacity import repository, service
from controlplane.capacity.domain import NodePool, ProviderKind
from controlplane.capacity.events import NodePoolChanged
from controlplane.kernel.errors import Conflict
from controlplane.kernel.ids import RegionalDeploymentId, TenantId
from controlplane.plumbing.database import Database
from tests.fixtures.companies import add_company

CPU_MILLI, MEMORY_MIB = 1000, 1024


@pytest.fixture
def pool(database: Database) -> NodePool:
    """Two ready nodes of eight GPUs."""
    with database.system() as uow:
        entity = add_company(uow, "Centre Essonne SAS")
        service.create_datacenter(
            uow,
            actor="key_test",
            code="essonne-1",
            name="Essonne",
            country="FR",
            operator_entity_id=entity,
            owner_entity_id=entity,
            power_kw=1000,
            rack_kw_max=130,
            pue_milli=1200,
            cells=("essonne-1-a",),
        )
        service.create_node_pool(
            uow,
            actor="key_test",
            name="b300",
            datacenter_code="essonne-1",
            cell_name="essonne-1-a",
            provider=ProviderKind.KWOK,
            instance_type="b300-8x",
            accelerator_sku="nvidia-b300",
            gpus_per_node=8,
            cpu_milli_per_node=64_000,
            memory_mib_per_node=512_000,
            watts_per_node=14_000,
            replicas=2,
        )
        row = repository.find_pool_row(uow, "b300")
        assert row is not None
        row.ready_nodes = 2
    with database.system() as uow:
        return service.get_node_pool(uow, "b300")


def reserve(database: Database, pool: NodePool, holder: RegionalDeploymentId, gpus: int) -> bool:
    with database.system(TenantId.new()) as uow:
        return service.reserve(
            uow,
            pool.id,
            holder,
            replicas=1,
            gpus_per_replica=gpus,
            cpu_milli=CPU_MILLI,
            memory_mib=MEMORY_MIB,
        )


def gpus_reserved(database: Database) -> int:
    with database.system() as uow:
        return service.get_node_pool(uow, "b300").gpus_reserved


class TestReserve:
    def test_a_reservation_is_never_more_than_what_is_free(self, database: Database, pool: NodePool) -> None:
        holders = [RegionalDeploymentId.new() for _ in range(12)]
        with ThreadPoolExecutor(6) as threads:
            granted = list(threads.map(lambda holder: reserve(database, pool, holder, 4), holders))
        assert sum(granted) == 4
        assert gpus_reserved(database) == 16

    def test_repeating_a_reservation_changes_nothing(self, database: Database, pool: NodePool) -> None:
        holder = RegionalDeploymentId.new()
        assert reserve(database, pool, holder, 4)
        assert reserve(database, pool, holder, 4)
        assert gpus_reserved(database) == 4

    def test_releasing_gives_back_exactly_what_was_held(self, database: Database, pool: NodePool) -> None:
        first, second = RegionalDeploymentId.new(), RegionalDeploymentId.new()
        reserve(database, pool, first, 4)
        reserve(database, pool, second, 2)
        for _ in range(2):
            with database.system() as uow:
                service.release(uow, first)
        assert gpus_reserved(database) == 2


class TestDelete:
    def test_a_pool_with_holders_is_not_deleted(self, database: Database, pool: NodePool) -> None:
        reserve(database, pool, RegionalDeploymentId.new(), 4)
        with pytest.raises(Conflict, match="still hold capacity"), database.system() as uow:
            service.delete_node_pool(uow, "b300", actor="key_test", expected_version=pool.version)

    def test_a_pool_deleted_by_hand_in_the_cell_is_wanted_again(
        self, database: Database, pool: NodePool
    ) -> None:
        with database.system() as uow:
            service.settle_node_pools(uow, frozenset())
            assert NodePoolChanged("b300") in uow.events
            assert service.get_node_pool(uow, "b300").ready_nodes == 0
