"""A sweep with a bound reaches everything, whatever the bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.deployments import tasks
from controlplane.deployments.sweep import Sweep
from controlplane.kernel.ids import RegionalDeploymentId, ServiceId, TenantId


def reader(items: Sequence[int]) -> Any:
    return lambda after, limit: [item for item in sorted(items) if after is None or item > after][:limit]


@pytest.mark.case("H2")
class TestSweep:
    @given(st.sets(st.integers(0, 500), max_size=120), st.integers(1, 20), st.integers(1, 40))
    def test_runs_one_after_another_reach_every_item_equally_often(
        self, items: set[int], page: int, most: int
    ) -> None:
        sweep: Sweep[int, int] = Sweep(lambda item: item, page=page, most=most)
        seen: Counter[int] = Counter()
        runs = 3 * (len(items) // most + 2)
        for _ in range(runs):
            once: list[int] = []
            sweep.run(reader(sorted(items)), once.append)
            assert len(once) == len(set(once)) <= most
            seen.update(once)
        assert set(seen) == items
        if items:
            assert max(seen.values()) - min(seen.values()) <= max(seen.values()) // 2 + 1

    @given(st.lists(st.sets(st.integers(0, 60), max_size=40), min_size=1, max_size=12))
    def test_items_that_come_and_go_meanwhile_stop_nothing(self, states: list[set[int]]) -> None:
        sweep: Sweep[int, int] = Sweep(lambda item: item, page=3, most=10)
        for items in states:
            sweep.run(reader(sorted(items)), lambda _: None)
        last = states[-1]
        seen: set[int] = set()
        for _ in range(len(last) // 10 + 2):
            sweep.run(reader(sorted(last)), seen.add)
        assert seen == last


@pytest.mark.case("H2")
class TestTasks:
    @pytest.mark.parametrize("only_due", [False, True])
    def test_services_beyond_the_bound_of_one_sweep_are_reached_by_the_next(
        self, only_due: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count = tasks.SERVICES_MAX * 5 // 4
        ids = sorted(
            ((TenantId.new(), ServiceId.new()) for _ in range(count)), key=lambda pair: pair[1].value
        )

        def listed(_: Any, *, after: ServiceId | None, limit: int, only_due: bool) -> Any:
            return [pair for pair in ids if after is None or pair[1].value > after.value][:limit]

        seen: set[ServiceId] = set()
        monkeypatch.setattr(tasks.repository_fleet, "list_services_to_converge", listed)
        monkeypatch.setattr(tasks, "_reassess_one", lambda *item: seen.add(item[-1]))
        for _ in range(2):
            tasks._converge_all(context(), only_due=only_due)
        assert len(seen) == count

    def test_parts_that_cannot_be_told_keep_no_other_from_being_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count = tasks.PARTS_MAX * 2 + 1
        ids = sorted(
            ((TenantId.new(), RegionalDeploymentId.new()) for _ in range(count)),
            key=lambda pair: pair[1].value,
        )

        def listed(_: Any, *, after: RegionalDeploymentId | None, limit: int) -> Any:
            return [pair for pair in ids if after is None or pair[1].value > after.value][:limit]

        seen: set[RegionalDeploymentId] = set()
        monkeypatch.setattr(tasks.repository_fleet, "list_unapplied_parts", listed)
        monkeypatch.setattr(tasks, "tell_cell", lambda *item: seen.add(item[-1]))
        for _ in range(3):
            tasks._tell_all(context())
        assert len(seen) == count


def context() -> Any:
    @contextmanager
    def system(*_: Any, **__: Any) -> Any:
        yield None

    return SimpleNamespace(database=SimpleNamespace(system=system))
