"""No door lets a site carry more than it can, or takes machines from under what tenants hold: any order of steps."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from controlplane.capacity import repository, service
from controlplane.capacity.domain import NodePool, PoolState, ProviderKind
from controlplane.capacity.manifest import build_node_pool
from controlplane.capacity.service_sites import SiteChanges, draw_of
from controlplane.capacity.site_rules import Load, SiteLimits, find_excess, measure, replicas_to_start
from controlplane.kernel.errors import Conflict, QuotaExceeded
from controlplane.kernel.ids import RegionalDeploymentId, TenantId
from controlplane.plumbing.database import Database
from tests.fixtures.companies import add_company

WATTS = {"a": 14_500, "b": 9_000, "c": 140_000}
GPUS = 8
ACTOR = "key_test"


class Cell:
    """A cell whose operator follows what it was told last, one machine at a time, and reports when asked."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}
        self.read: dict[str, dict[str, Any]] = {}
        self.machines: dict[str, int] = {}

    def apply(self, manifest: dict[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        before = self.told.get(name)
        generation = 1 if before is None else before["metadata"]["generation"]
        if before is not None and before["spec"] != manifest["spec"]:
            generation += 1
        self.told[name] = {**manifest, "metadata": {**manifest["metadata"], "generation": generation}}

    def step(self, name: str) -> None:
        """Read the wish, then start or give back one machine."""
        if name not in self.told:
            return
        self.read[name] = self.told[name]
        spec, now = self.read[name]["spec"], self.machines.get(name, 0)
        if not spec.get("paused"):
            self.machines[name] = now + (spec["replicas"] > now) - (spec["replicas"] < now)

    def report(self, name: str) -> dict[str, Any] | None:
        if name not in self.told:
            return None
        observed = self.read.get(name, {"metadata": {"generation": 0}})["metadata"]["generation"]
        machines = self.machines.get(name, 0)
        status = {"observedGeneration": observed, "replicas": machines, "readyReplicas": machines}
        return {**self.told[name], "status": status}


class SiteMachine(RuleBasedStateMachine):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.cell = Cell()
        self.tag = uuid4().hex[:10]
        self.code = f"site-{self.tag}"
        self.holders: list[RegionalDeploymentId] = []
        self.load = Load(0, 0)

    def name(self, pool: str) -> str:
        return f"{pool}-{self.tag}"

    @initialize(power=st.integers(20, 400), racks=st.none() | st.integers(1, 6))
    def register(self, power: int, racks: int | None) -> None:
        with self.database.system() as uow:
            entity = add_company(uow, f"Centre {self.tag}")
            service.create_datacenter(
                uow, actor=ACTOR, code=self.code, name="Site", country="FR", operator_entity_id=entity,
                owner_entity_id=entity, power_kw=power, rack_kw_max=130, rack_count=racks, pue_milli=1200,
                cells=(f"cell-{self.tag}",),
            )  # fmt: skip

    @rule(pool=st.sampled_from("abc"), replicas=st.integers(0, 8))
    def create(self, pool: str, replicas: int) -> None:
        self.attempt(
            lambda uow: service.create_node_pool(
                uow, actor=ACTOR, name=self.name(pool), datacenter_code=self.code,
                cell_name=f"cell-{self.tag}", provider=ProviderKind.KWOK, instance_type="b300-8x",
                accelerator_sku="nvidia-b300", gpus_per_node=GPUS, cpu_milli_per_node=64_000,
                memory_mib_per_node=512_000, watts_per_node=WATTS[pool], replicas=replicas,
            )
        )  # fmt: skip

    @rule(pool=st.sampled_from("abc"), replicas=st.integers(0, 8), paused=st.none() | st.booleans())
    def change(self, pool: str, replicas: int, paused: bool | None) -> None:
        found = self.find(pool)
        if found is None or found.state is PoolState.DELETING:
            return
        changes = service.PoolChanges(replicas=replicas, is_paused=paused)
        self.attempt(
            lambda uow: service.change_node_pool(
                uow, found.name, actor=ACTOR, expected_version=found.version, changes=changes
            )
        )

    @rule(pool=st.sampled_from("abc"))
    def delete(self, pool: str) -> None:
        found = self.find(pool)
        if found is not None:
            self.attempt(
                lambda uow: service.delete_node_pool(
                    uow, found.name, actor=ACTOR, expected_version=found.version
                )
            )

    @rule(power=st.integers(1, 400), pue=st.integers(1000, 1800), racks=st.none() | st.integers(1, 6))
    def restate(self, power: int, pue: int, racks: int | None) -> None:
        """A cut feed is a fact: it is recorded, whatever it means."""
        with self.database.system() as uow:
            site = service.get_datacenter(uow, self.code)
            changes = SiteChanges(power_kw=power, pue_milli=pue, rack_count=racks)
            after = service.update_datacenter(
                uow, self.code, actor=ACTOR, expected_version=site.version, changes=changes
            )
            assert (after.power_kw, after.pue_milli) == (power, pue)
            found = service.read_load(uow, self.code)
            self.load = found.load
            assert bool(found.plan) or not found.excess.is_any or not self.has_surplus_wish()

    def has_surplus_wish(self) -> bool:
        """What is over may be over because of machines that drain only: then waiting is the plan."""
        with self.database.system() as uow:
            row = repository.find_datacenter_row(uow, self.code)
            assert row is not None
            limits = SiteLimits(row.power_kw, row.pue_milli, row.rack_kw_max, row.rack_count)
            wishes = [p for p in map(draw_of, repository.list_pool_rows_of(uow, row.id)) if p.wanted]
            settled = [type(p)(p.name, p.wanted, 0, p.watts_per_node) for p in wishes]
            return find_excess(limits, settled).is_any

    @rule(pool=st.sampled_from("abc"), gpus=st.integers(1, 8), replicas=st.integers(1, 2))
    def reserve(self, pool: str, gpus: int, replicas: int) -> None:
        found = self.find(pool)
        if found is None:
            return
        holder = RegionalDeploymentId.new()
        with self.database.system(TenantId.new()) as uow:
            if service.reserve(
                uow, found.id, holder, replicas=replicas, gpus_per_replica=gpus, cpu_milli=100, memory_mib=64
            ):
                self.holders.append(holder)

    @rule()
    def release(self) -> None:
        if self.holders:
            with self.database.system() as uow:
                service.release(uow, self.holders.pop())

    @rule()
    def tell(self) -> None:
        """Bring the rows to the cell, as the worker does."""
        for pool in self.pools():
            if pool.state is PoolState.DELETING:
                self.cell.told.pop(pool.name, None)
                continue
            with self.database.system() as uow:
                is_over = service.is_overcommitted(uow, self.code)
                row = repository.find_pool_row(uow, pool.name)
                assert row is not None
                draw = draw_of(row)
            told = replicas_to_start(draw, is_over)
            assert not is_over or told <= draw.seen
            self.cell.apply(build_node_pool(pool, told))

    @rule(pool=st.sampled_from("abc"))
    def work(self, pool: str) -> None:
        self.cell.step(self.name(pool))
        if self.name(pool) not in self.cell.told and self.cell.machines.get(self.name(pool)):
            self.cell.machines[self.name(pool)] -= 1

    @rule(pool=st.sampled_from("abc"))
    def report(self, pool: str) -> None:
        resource = self.cell.report(self.name(pool))
        with self.database.system() as uow:
            if resource is not None:
                service.observe_node_pool(uow, resource)
            elif not self.cell.machines.get(self.name(pool)):
                found = service.find_node_pool(uow, self.name(pool))
                if found is not None and found.state is PoolState.DELETING:
                    service.observe_node_pool_gone(uow, self.name(pool))

    @invariant()
    def no_door_lets_the_site_carry_more(self) -> None:
        with self.database.system() as uow:
            row = repository.find_datacenter_row(uow, self.code)
            if row is None:
                return
            limits = SiteLimits(row.power_kw, row.pue_milli, row.rack_kw_max, row.rack_count)
            draws = [draw_of(pool) for pool in repository.list_pool_rows_of(uow, row.id)]
        now = measure(limits, draws)
        assert now.watts <= max(self.load.watts, row.power_kw * 1000)
        assert row.rack_count is None or now.racks <= max(self.load.racks, row.rack_count)
        self.load = now

    @invariant()
    def every_machine_that_is_there_is_counted(self) -> None:
        known = {pool.name: pool for pool in self.pools()}
        for name, machines in self.cell.machines.items():
            assert machines == 0 or known[name].nodes_there >= machines

    @invariant()
    def no_more_is_held_than_stays(self) -> None:
        for pool in self.pools():
            held = pool.gpus_reserved
            assert held == 0 or (pool.state is not PoolState.DELETING and held <= pool.replicas * GPUS)

    def find(self, pool: str) -> NodePool | None:
        return next((each for each in self.pools() if each.name == self.name(pool)), None)

    def pools(self) -> list[NodePool]:
        with self.database.system() as uow:
            return [each for each in service.list_node_pools(uow) if each.datacenter_code == self.code]

    def attempt(self, act: Any) -> None:
        try:
            with self.database.system() as uow:
                act(uow)
        except (QuotaExceeded, Conflict):
            pass


@pytest.mark.case("F6")
@pytest.mark.case("F11")
def test_no_order_of_steps_breaks_what_a_site_can_carry(database: Database) -> None:
    run_state_machine_as_test(
        lambda: SiteMachine(database),
        settings=settings(
            max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )  # type: ignore[no-untyped-call]
