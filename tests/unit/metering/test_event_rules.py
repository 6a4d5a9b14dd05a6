"""What is understood, what is refused with which sentence, and which resends are the same event."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.metering.domain import AllocationPhase
from controlplane.metering.event_rules import (
    ACCEPT_FUTURE,
    ACCEPT_PAST,
    AcceptWindow,
    Refused,
    decide_key,
    read_event,
)
from tests.fixtures.usage import gpu_event, request_event, wire

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WINDOW = AcceptWindow.at(NOW, timedelta(0))
TENANT, PROJECT = TenantId.new(), ProjectId.new()


def call(**data: Any) -> dict[str, Any]:
    return request_event(str(TENANT), str(PROJECT), at=NOW, event_id="one", **data)


def beat(seen: timedelta, sequence: int = 2, **more: Any) -> dict[str, Any]:
    return gpu_event(str(TENANT), str(PROJECT), "beat", NOW, NOW + seen, sequence=sequence, **more)


class TestKey:
    def test_it_is_the_hash_of_tenant_source_and_id(self) -> None:
        event = read_event(call(), 0, WINDOW)
        joined = TENANT.value.bytes + b"\x1f" + b"/gateways/gateway-1" + b"\x1f" + b"one"
        assert event.key == hashlib.sha256(joined).digest()[:16]

    @given(source=st.text(min_size=1, max_size=20), event_id=st.text(min_size=1, max_size=20))
    def test_it_does_not_depend_on_time_and_tells_sources_and_ids_apart(
        self, source: str, event_id: str
    ) -> None:
        key = decide_key(TENANT.value, source, event_id)
        assert key == decide_key(TENANT.value, source, event_id)
        assert key != decide_key(TENANT.value, source + "x", event_id)
        assert key != decide_key(TENANT.value, source, event_id + "x")


class TestHash:
    def test_the_order_of_members_makes_no_difference(self) -> None:
        event = call()
        other = {name: event[name] for name in reversed(event)}
        other["data"] = dict(reversed(event["data"].items()))
        assert read_event(event, 0, WINDOW).payload_hash == read_event(other, 0, WINDOW).payload_hash

    @pytest.mark.parametrize(
        ("name", "value"),
        [("time", wire(NOW - timedelta(seconds=1))), ("subject", "svc_other"), ("extra", 1)],
    )
    def test_any_other_content_is_another_event(self, name: str, value: object) -> None:
        assert (
            read_event(call(), 0, WINDOW).payload_hash
            != read_event({**call(), name: value}, 0, WINDOW).payload_hash
        )

    def test_a_beat_of_the_same_slot_is_the_same_whenever_it_was_seen_and_whoever_says_it(self) -> None:
        first = read_event(beat(timedelta(seconds=61)), 0, WINDOW)
        again = read_event(beat(timedelta(seconds=65), epoch=9), 0, WINDOW)
        other = read_event({**beat(timedelta(seconds=65)), "subject": "svc_other"}, 0, WINDOW)
        assert first.payload_hash == again.payload_hash != other.payload_hash


class TestWindow:
    @pytest.mark.parametrize(
        ("at", "is_taken"),
        [
            (NOW - ACCEPT_PAST, True),
            (NOW - ACCEPT_PAST - timedelta(microseconds=1), False),
            (NOW + ACCEPT_FUTURE, True),
            (NOW + ACCEPT_FUTURE + timedelta(microseconds=1), False),
        ],
    )
    def test_its_edges_belong_to_it(self, at: datetime, is_taken: bool) -> None:
        event = {**call(), "time": wire(at)}
        if is_taken:
            assert read_event(event, 0, WINDOW).occurred_at == at
        else:
            with pytest.raises(Refused):
                read_event(event, 0, WINDOW)

    def test_a_clock_that_was_moved_ahead_still_takes_what_its_producers_report(self) -> None:
        ahead = timedelta(days=40)
        assert read_event(call(), 0, AcceptWindow.at(NOW + ahead, ahead)).occurred_at == NOW

    @pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
    def test_a_time_that_has_no_utc_is_refused_and_breaks_nothing(self, time: str) -> None:
        with pytest.raises(Refused, match="RFC 3339"):
            read_event({**call(), "time": time}, 0, WINDOW)

    def test_a_gpu_is_not_seen_in_the_future(self) -> None:
        event = beat(timedelta(days=9_000))
        with pytest.raises(Refused, match="observed_at is more than 5 minutes ahead"):
            read_event({**event, "time": wire(NOW)}, 0, WINDOW)

    def test_an_offset_is_read_and_kept_as_utc(self) -> None:
        event = {**call(), "time": "2026-11-21T13:00:00+01:00"}
        assert read_event(event, 0, WINDOW).occurred_at == NOW


class TestAmounts:
    @given(
        st.one_of(
            st.floats(), st.integers(max_value=-1), st.integers(min_value=10**9 + 1), st.booleans(), st.text(),
            st.lists(st.integers(), max_size=2),
        )
    )  # fmt: skip
    def test_whatever_is_no_whole_amount_is_refused_by_name(self, amount: object) -> None:
        with pytest.raises(Refused, match="input_tokens"):
            read_event(call(input_tokens=amount), 0, WINDOW)

    @given(st.one_of(st.none(), st.integers(min_value=0, max_value=10**9)))
    def test_whole_amounts_and_unknown_ones_are_kept(self, amount: int | None) -> None:
        count = read_event(call(input_tokens=amount), 0, WINDOW).count
        assert count is not None
        assert count.input_tokens == amount

    @pytest.mark.parametrize(
        ("status", "is_failed"),
        [(200, False), (206, False), (302, False), (400, True), (503, True), (0, True)],
    )
    def test_an_answer_of_400_or_more_or_none_is_a_failed_request(self, status: int, is_failed: bool) -> None:
        count = read_event(call(status=status), 0, WINDOW).count
        assert count is not None
        assert count.is_failed is is_failed


class TestAllocation:
    def test_a_report_is_read_whole(self) -> None:
        record = read_event(beat(timedelta(seconds=61), epoch=4), 0, WINDOW).allocation
        assert record is not None
        assert (record.phase, record.pod_uid, record.gpu_index) == (AllocationPhase.BEAT, "pod-1", 0)
        assert (record.opened_at, record.observed_at) == (NOW, NOW + timedelta(seconds=61))
        assert record.epoch == 4

    @pytest.mark.parametrize(
        ("name", "value"),
        [("gpu_index", True), ("gpu_index", 1), ("phase", "close"), ("phase", "held"), ("simulated", 0),
         ("observed_at", wire(NOW - timedelta(1))), ("gpu_id", ""), ("sku", None)],
    )  # fmt: skip
    def test_what_does_not_fit_together_is_refused(self, name: str, value: object) -> None:
        event = beat(timedelta(seconds=61))
        with pytest.raises(Refused):
            read_event({**event, "data": {**event["data"], name: value}}, 0, WINDOW)


class TestAnything:
    @given(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
            lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner)),
            max_leaves=8,
        ),
        st.sampled_from(["specversion", "id", "source", "type", "time", "data", "datacontenttype"]),
    )
    def test_no_json_breaks_it(self, rubbish: Any, name: str) -> None:
        for event in (
            rubbish,
            {**call(), name: rubbish},
            {**call(), "data": {**call()["data"], "model": rubbish}},
        ):
            refusal = ""
            try:
                read_event(event, 0, WINDOW)
            except Refused as err:
                refusal = str(err)
            assert refusal in {"", refusal.rstrip(".") + "."}
