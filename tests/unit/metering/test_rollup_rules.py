"""Sums do not depend on order or grouping, and every event falls into exactly one hour and one generation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.metering.chain_rules import decide_chain, decide_digest, decide_root, first_link
from controlplane.metering.domain import Granularity, ReadEvent
from controlplane.metering.event_rules import AcceptWindow, read_event
from controlplane.metering.rollup_rules import Addition, Frozen, RollupKey, decide_additions
from controlplane.metering.time_rules import bucket_end, check_hours, read_zone
from tests.fixtures.usage import request_event

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WINDOW = AcceptWindow.at(NOW, timedelta(0))
TENANTS = [TenantId.new() for _ in range(2)]
PROJECT = ProjectId.new()
TOKENS = st.one_of(st.none(), st.integers(0, 10_000))


@st.composite
def events(draw: Any) -> ReadEvent:
    raw = request_event(
        str(draw(st.sampled_from(TENANTS))),
        str(PROJECT),
        at=NOW - timedelta(minutes=draw(st.integers(0, 300))),
        event_id=str(draw(st.integers(0, 10**9))),
        model=draw(st.sampled_from(["a", "b"])),
        status=draw(st.sampled_from([200, 500])),
        input_tokens=draw(TOKENS),
        output_tokens=draw(TOKENS),
    )
    return read_event(raw, 0, WINDOW)


def merged(parts: list[dict[RollupKey, Addition]]) -> dict[RollupKey, tuple[int, int, int]]:
    sums: dict[RollupKey, tuple[int, int, int]] = {}
    for part in parts:
        for key, addition in part.items():
            q, n, u = sums.get(key, (0, 0, 0))
            sums[key] = (q + addition.quantity, n + addition.event_count, u + addition.unknown_count)
    return sums


class TestAdditions:
    @given(st.data(), st.lists(events(), max_size=25))
    def test_any_order_and_grouping_adds_up_to_the_same(
        self, data: st.DataObject, stream: list[ReadEvent]
    ) -> None:
        shuffled = data.draw(st.permutations(stream))
        cut = data.draw(st.integers(0, len(stream)))
        parts = [decide_additions(shuffled[:cut], ()), decide_additions(shuffled[cut:], ())]
        assert merged(parts) == merged([decide_additions(stream, ())])

    @given(st.lists(events(), max_size=25))
    def test_what_nobody_counted_is_unknown_and_never_zero_tokens_of_a_known_event(
        self, stream: list[ReadEvent]
    ) -> None:
        sums = merged([decide_additions(stream, ())])
        unknown = sum(u for key, (_, _, u) in sums.items() if key[2] == "input_tokens")
        counts = [event.count for event in stream if event.count is not None]
        assert unknown == sum(1 for c in counts if c.input_tokens is None and not c.is_failed)
        names = {"input_tokens", "unbilled_input_tokens"}
        total = sum(q for key, (q, _, _) in sums.items() if key[2] in names)
        assert total == sum(c.input_tokens or 0 for c in counts)

    @given(events(), st.integers(1, 9))
    def test_only_events_of_a_frozen_period_of_their_tenant_are_late(
        self, event: ReadEvent, count: int
    ) -> None:
        frozen = Frozen(TENANTS[0].value, NOW - timedelta(hours=3), NOW - timedelta(hours=1), count)
        is_late = (
            event.tenant_id == TENANTS[0].value and frozen.starts_at <= event.occurred_at < frozen.ends_at
        )
        assert {key[-1] for key in decide_additions([event], [frozen])} == {count if is_late else 0}


class TestChain:
    @given(
        st.lists(
            st.tuples(st.binary(min_size=16, max_size=16), st.binary(max_size=20)),
            min_size=1,
            max_size=8,
            unique_by=lambda e: e[0],
        )
    )
    def test_the_root_names_each_event_in_any_order(self, events: list[Any]) -> None:
        stored = [(key, decide_digest(payload)) for key, payload in events]
        root = decide_root(stored)
        assert decide_root(reversed(stored)) == root
        assert decide_root(stored[1:]) != root
        assert decide_root([(stored[0][0], decide_digest(events[0][1] + b"x")), *stored[1:]]) != root

    def test_a_link_names_the_one_before_its_number_and_its_count(self) -> None:
        root = decide_root([])
        link = decide_chain(first_link(0), root, 1, 2)
        others = [(first_link(1), root, 1, 2), (first_link(0), b"", 1, 2), (first_link(0), root, 2, 2)]
        assert link not in {decide_chain(*other) for other in others}
        assert link != decide_chain(first_link(0), root, 1, 3)


class TestTime:
    @pytest.mark.parametrize(
        ("year", "month", "day", "hours"),
        [(2026, 3, 29, 23), (2026, 10, 25, 25), (2026, 3, 28, 24), (2028, 2, 29, 24)],
    )
    def test_a_day_of_paris_has_its_own_hours(self, year: int, month: int, day: int, hours: int) -> None:
        start = datetime(year, month, day, tzinfo=PARIS).astimezone(UTC)
        assert bucket_end(start, Granularity.DAY, PARIS) - start == timedelta(hours=hours)

    @pytest.mark.parametrize(("year", "month", "hours"), [(2026, 3, 743), (2026, 10, 745), (2028, 2, 696)])
    def test_a_month_of_paris_has_its_own_hours(self, year: int, month: int, hours: int) -> None:
        period = Period.month(year, month)
        assert bucket_end(period.start, Granularity.MONTH, PARIS) == period.end
        assert period.duration == timedelta(hours=hours)

    @pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Adelaide", "Asia/Kathmandu"])
    def test_zones_that_whole_hours_cannot_express_are_refused(self, zone: str) -> None:
        with pytest.raises(InvalidInput, match="whole number of hours"):
            check_hours(Period.month(2026, 11, ZoneInfo("UTC")), read_zone(zone))

    @pytest.mark.parametrize("name", ["", "Nowhere/City", "../etc/passwd", "x" * 100, "a\x00b"])
    def test_what_is_no_zone_is_refused(self, name: str) -> None:
        with pytest.raises(InvalidInput):
            read_zone(name)
