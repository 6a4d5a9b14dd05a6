"""Counts of refusals lose nothing, stay bounded, and no flood hides who is within its own bound."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.plumbing.refusal_counts import RefusalCounts
from controlplane.plumbing.refusal_rules import (
    GROUP_ROWS_MAX,
    OTHERS,
    ROWS_MAX,
    STRANGERS_ROWS_MAX,
    Refusal,
    RefusalKind,
    kind_of,
)
from controlplane.plumbing.request_log import collection_of

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)

refusals = st.builds(
    Refusal,
    kind=st.sampled_from(RefusalKind),
    reason=st.sampled_from([f"reason-{number}" for number in range(4)]),
    route=st.sampled_from([f"route-{number}" for number in range(6)]),
    address=st.sampled_from([f"198.51.100.{number}" for number in range(60)]),
    key_id=st.sampled_from([None, "key_a", "key_b"]),
    tenant_id=st.sampled_from([None, *(f"org_{number}" for number in range(60))]),
)


@pytest.mark.case("X14")
@given(st.lists(refusals, max_size=300))
def test_no_count_is_lost_and_rows_are_bounded(noted: list[Refusal]) -> None:
    counts = RefusalCounts()
    for number, refusal in enumerate(noted):
        counts.note(refusal, NOW + timedelta(seconds=number))
    rows = counts.take()
    assert Counter(each.kind for each in noted) == sum(
        (Counter({row.refusal.kind: row.count}) for row in rows), Counter()
    )
    assert len(rows) <= ROWS_MAX
    of_group = Counter(row.refusal.group for row in rows if row.refusal.reason != OTHERS)
    assert all(count <= GROUP_ROWS_MAX for count in of_group.values())
    if noted:
        assert min(row.first_at for row in rows) == NOW
        assert max(row.last_at for row in rows) == NOW + timedelta(seconds=len(noted) - 1)
    assert counts.take() == []


@pytest.mark.case("X14")
def test_a_flood_of_strangers_hides_no_tenants_key_and_ends_in_one_row() -> None:
    counts = RefusalCounts()
    for number in range(50_000):
        address = f"{number >> 16}.{number >> 8 & 255}.{number & 255}.1"
        counts.note(Refusal(RefusalKind.FAILED_AUTHENTICATION, "wrong", "none", address), NOW)
    stolen = Refusal(
        RefusalKind.FAILED_AUTHENTICATION, "revoked_key", "list_apps", "192.0.2.1", "key_a", "org_a"
    )
    counts.note(stolen, NOW)
    rows = {row.refusal: row.count for row in counts.take()}
    assert rows[stolen] == 1
    others = Refusal(RefusalKind.FAILED_AUTHENTICATION, OTHERS, OTHERS, OTHERS)
    assert rows[others] == 50_000 - STRANGERS_ROWS_MAX
    assert len(rows) <= ROWS_MAX


@pytest.mark.case("X14")
def test_one_who_tries_everything_hides_nobody_else() -> None:
    counts = RefusalCounts()
    for number in range(1_000):
        counts.note(Refusal(RefusalKind.NOT_FOUND, "not_found", f"route-{number}", "192.0.2.1"), NOW)
    other = Refusal(RefusalKind.NOT_FOUND, "not_found", "route-1", "192.0.2.2")
    counts.note(other, NOW)
    rows = {row.refusal: row.count for row in counts.take()}
    assert rows[other] == 1
    assert rows[Refusal(RefusalKind.NOT_FOUND, OTHERS, OTHERS, "192.0.2.1")] == 1_000 - GROUP_ROWS_MAX


@given(st.lists(refusals, max_size=50), st.lists(refusals, max_size=50))
def test_what_could_not_be_handed_on_is_counted_with_what_follows(
    first: list[Refusal], second: list[Refusal]
) -> None:
    counts = RefusalCounts()
    for refusal in first:
        counts.note(refusal, NOW)
    kept = counts.take()
    for refusal in second:
        counts.note(refusal, NOW)
    counts.add(kept)
    assert sum(row.count for row in counts.take()) == len(first) + len(second)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthenticated", RefusalKind.FAILED_AUTHENTICATION),
        (403, "forbidden", RefusalKind.FORBIDDEN),
        (403, "organization_suspended", RefusalKind.FORBIDDEN),
        (404, "not_found", RefusalKind.NOT_FOUND),
        (409, "quota_exceeded", RefusalKind.QUOTA_EXCEEDED),
        (429, "insufficient_quota", RefusalKind.QUOTA_EXCEEDED),
        (429, "too_many_requests", RefusalKind.RATE_LIMITED),
        (200, "", None),
        (409, "conflict", None),
        (422, "invalid_input", None),
        (503, "unavailable", None),
    ],
)
def test_each_refusal_has_its_kind(status: int, code: str, kind: RefusalKind | None) -> None:
    assert kind_of(status, code) is kind


@given(st.text(max_size=40))
def test_nobody_invents_a_collection(path: str) -> None:
    known = frozenset({"/v1/apps", "/v1/admin/nodes"})
    assert collection_of(path, known) in known | {"none"}
    assert collection_of(f"/v1/apps/{path}", known) == "/v1/apps"
    assert collection_of(f"/v1/admin/nodes/{path}", known) == "/v1/admin/nodes"
