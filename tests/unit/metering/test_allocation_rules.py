"""Over any set of reports in any order: no overlap, nothing billed twice, nothing billed that nobody saw."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.metering.allocation_rules import Slice, decide_slices, fold_record, settle_gpu
from controlplane.metering.domain import Allocation, AllocationPhase, AllocationRecord, AllocationState

TENANT, PROJECT = TenantId.new(), ProjectId.new()
START = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
NEVER_SILENT = START - timedelta(days=1)
LONG_SILENT = START + timedelta(days=1)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def record(phase: str, opened: int, seen: int, pod: str = "a") -> AllocationRecord:
    return AllocationRecord(
        allocation_id=uuid.uuid5(uuid.NAMESPACE_OID, pod), source="/cells/c", pod_uid=pod, gpu_index=0, gpu_id="n/0",
        project_id=PROJECT.value, service_id="svc_x", regional_deployment_id="rdp_x", instance=pod, node="n",
        sku="h100", datacenter="dc", country="FR", is_simulated=False, phase=AllocationPhase(phase),
        opened_at=at(opened), observed_at=at(seen), reason="", epoch=0,
    )  # fmt: skip


def fold(records: Sequence[AllocationRecord], silent: datetime = NEVER_SILENT) -> tuple[Allocation, ...]:
    known: dict[uuid.UUID, Allocation] = {}
    for each in records:
        known[each.allocation_id] = fold_record(known.get(each.allocation_id), TENANT, each)
    return settle_gpu(known.values(), silent)


def bill(allocation: Allocation) -> tuple[Allocation, list[Slice]]:
    """Slice until nothing is left, as the ticks do."""
    slices: list[Slice] = []
    for _ in range(10):
        allocation, more = decide_slices(allocation)
        if not more:
            return allocation, slices
        slices += more
    raise AssertionError("slicing does not come to an end")


@st.composite
def histories(draw: Any) -> list[AllocationRecord]:
    """Reports on one GPU's pods, one after the other, as an operator that may crash makes them."""
    reports, clock = [], 0
    for pod in range(draw(st.integers(1, 4))):
        clock += draw(st.integers(0, 5_000))
        opened = clock
        reports.append(record("open", opened, opened, str(pod)))
        for step in draw(st.lists(st.integers(1, 4_000), max_size=4)):
            clock += step
            reports.append(record("beat", opened, clock, str(pod)))
        if draw(st.booleans()):
            clock += draw(st.integers(0, 50))
            reports.append(record("close", opened, clock, str(pod)))
    return reports


class TestFold:
    @given(data=st.data(), history=histories())
    def test_any_permutation_duplication_and_regrouping_gives_the_same_intervals(
        self, data: st.DataObject, history: list[AllocationRecord]
    ) -> None:
        shuffled = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history)))))
        expected = fold(history)
        assert fold(shuffled) == expected
        known: dict[uuid.UUID, Allocation] = {}
        for each in shuffled:
            known[each.allocation_id] = fold_record(known.get(each.allocation_id), TENANT, each)
            known = {a.id: a for a in settle_gpu(known.values(), NEVER_SILENT)}
        assert settle_gpu(known.values(), NEVER_SILENT) == expected

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["open", "beat", "close"]),
                              st.integers(0, 9_000), st.integers(0, 9_000)), min_size=1, max_size=20))  # fmt: skip
    def test_a_gpu_never_has_two_open_intervals_or_overlapping_ones(
        self, raw: list[tuple[str, str, int, int]]
    ) -> None:
        """Even if the reports contradict one another."""
        held = fold([record(phase, opened, opened + length, pod) for pod, phase, opened, length in raw])
        for earlier, later in itertools.pairwise(held):
            assert earlier.ended_at is not None
            assert earlier.opened_at <= earlier.ended_at <= later.opened_at
        assert sum(each.ended_at is None for each in held) <= 1

    def test_without_a_close_it_ends_when_last_seen_once_it_is_silent(self) -> None:
        (open_one,) = fold([record("open", 0, 0), record("beat", 0, 90)])
        assert (open_one.state, open_one.ended_at) == (AllocationState.OPEN, None)
        (silent,) = fold([record("open", 0, 0), record("beat", 0, 90)], LONG_SILENT)
        assert (silent.state, silent.ended_at, silent.reason) == (
            AllocationState.ESTIMATED,
            at(90),
            "Vanished",
        )
        (heard,) = settle_gpu((fold_record(silent, TENANT, record("beat", 0, 120)),), NEVER_SILENT)
        assert (heard.state, heard.ended_at) == (AllocationState.OPEN, None)


class TestSlices:
    @given(history=histories(), cuts=st.lists(st.integers(0, 40), max_size=6))
    @settings(max_examples=60)
    def test_slicing_never_changes_totals(self, history: list[AllocationRecord], cuts: list[int]) -> None:
        """Billed in many turns between reports, or at once at the end: the same microseconds."""
        at_once = sum(piece.microseconds for each in fold(history) for piece in bill(each)[1])
        known: dict[uuid.UUID, Allocation] = {}
        pieces: list[Slice] = []
        for turn, each in enumerate(history):
            known[each.allocation_id] = fold_record(known.get(each.allocation_id), TENANT, each)
            known = {a.id: a for a in settle_gpu(known.values(), NEVER_SILENT)}
            if turn in cuts or turn == len(history) - 1:
                for held in list(known.values()):
                    known[held.id], more = bill(held)
                    pieces += more
        assert sum(piece.microseconds for piece in pieces) == at_once
        assert len({piece.id for piece in pieces}) == len(pieces)
        for each in known.values():
            assert each.billed_until == each.seen_until

    @given(history=histories(), turns=st.permutations(range(8)))
    def test_a_slice_lies_within_an_hour_and_within_what_was_seen(
        self, history: list[AllocationRecord], turns: list[int]
    ) -> None:
        for each in fold(history):
            for piece in bill(each)[1]:
                assert each.opened_at <= piece.start < piece.end <= each.seen_until
                assert (piece.end - timedelta(microseconds=1)).replace(minute=0, second=0, microsecond=0) == (
                    piece.start.replace(minute=0, second=0, microsecond=0)
                )

    def test_the_same_slice_has_the_same_id(self) -> None:
        (one,) = fold([record("open", 0, 0), record("close", 0, 100)])
        assert decide_slices(one)[1] == decide_slices(one)[1]

    def test_later_truth_takes_back_exactly_what_was_too_much_and_may_be_corrected_again(self) -> None:
        (long,) = fold([record("open", 0, 0), record("beat", 0, 9_000)])
        billed, first = bill(long)
        (short,) = settle_gpu((fold_record(billed, TENANT, record("close", 0, 4_000)),), NEVER_SILENT)
        corrected, back = bill(short)
        assert sum(piece.microseconds for piece in first + back) == 4_000_000_000
        assert corrected.billed_until == at(4_000)
        assert len({piece.id for piece in first + back}) == len(first + back)

    def test_an_interval_of_months_is_billed_in_several_turns(self) -> None:
        (long,) = fold([record("open", 0, 100 * 86_400)])
        assert len(decide_slices(long)[1]) < 900
        assert sum(piece.microseconds for piece in bill(long)[1]) == 100 * 86_400 * 1_000_000


class TestMonths:
    @pytest.mark.parametrize(
        ("year", "month", "hours"), [(2026, 3, 743), (2026, 10, 745), (2028, 2, 696), (2026, 11, 720)]
    )
    def test_one_gpu_for_a_whole_month_of_paris(self, year: int, month: int, hours: int) -> None:
        """The vectors of clock changes: October 2026 has 2,682,000 s."""
        period = Period.month(year, month)
        assert period.duration == timedelta(hours=hours)
        seconds = int((period.end - START).total_seconds()), int((period.start - START).total_seconds())
        (held,) = fold([record("open", seconds[1], seconds[1]), record("close", seconds[1], seconds[0])])
        pieces = bill(held)[1]
        assert sum(piece.microseconds for piece in pieces) == hours * 3_600 * 1_000_000
        assert len(pieces) == hours
        if (year, month) == (2026, 10):
            assert sum(piece.microseconds for piece in pieces) == 2_682_000 * 1_000_000
