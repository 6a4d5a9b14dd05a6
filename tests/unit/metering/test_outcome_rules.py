"""Every outcome of a call has a written price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.metering.domain import SOLD_METERS, Meter
from controlplane.metering.event_rules import AcceptWindow, Refused, read_event
from controlplane.metering.outcome_rules import is_billed
from controlplane.metering.rollup_rules import decide_additions
from tests.fixtures.usage import request_event

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WINDOW = AcceptWindow.at(NOW, timedelta(0))
TENANT, PROJECT = str(TenantId.new()), str(ProjectId.new())


def count(**data: Any) -> dict[str, int]:
    """What one call adds, by meter."""
    event = read_event(request_event(TENANT, PROJECT, at=NOW, **data), 0, WINDOW)
    return {key[2]: addition.quantity for key, addition in decide_additions([event], ()).items()}


# status, the caller left, tokens out | billed
OUTCOMES = [
    (200, False, 500, True),
    (200, True, 500, True),
    (200, True, 0, True),
    (206, False, 500, True),
    (302, False, 0, True),
    (399, False, 500, True),
    (499, True, 500, True),
    (499, False, 500, True),
    (499, True, 0, False),
    (499, True, None, False),
    (0, True, 500, True),
    (0, True, 0, False),
    (0, True, None, False),
    (0, False, 500, False),
    (0, False, None, False),
    *(
        (status, left, 500, False)
        for status in (400, 401, 403, 404, 408, 413, 422, 429)
        for left in (False, True)
    ),
    *((status, left, 500, False) for status in (500, 502, 503, 504, 599) for left in (False, True)),
    (600, False, 500, False),
    (999, True, 500, False),
]


@pytest.mark.case("M21")
@pytest.mark.parametrize(("status", "has_left", "tokens", "billed"), OUTCOMES)
def test_every_outcome_of_a_call_has_a_written_price(
    status: int, has_left: bool, tokens: int | None, billed: bool
) -> None:
    found = count(status=status, is_disconnected=has_left, input_tokens=100, output_tokens=tokens)
    sold = {
        meter: quantity for meter, quantity in found.items() if meter in {"input_tokens", "output_tokens"}
    }
    free = {meter: quantity for meter, quantity in found.items() if meter.startswith("unbilled_")}
    if billed:
        assert (sold, free) == ({"input_tokens": 100, "output_tokens": tokens}, {})
    else:
        assert sold == {}
        assert free["unbilled_input_tokens"] == 100
        assert free.get("unbilled_output_tokens") == tokens


@pytest.mark.case("M21")
@given(status=st.integers(0, 999), has_left=st.booleans(), tokens=st.none() | st.integers(0, 1_000))
def test_no_token_is_lost_and_none_is_counted_twice(status: int, has_left: bool, tokens: int | None) -> None:
    found = count(status=status, is_disconnected=has_left, input_tokens=7, output_tokens=tokens)
    both = {
        name: found.get(name, 0) + found.get(f"unbilled_{name}", 0)
        for name in ("input_tokens", "output_tokens")
    }
    assert both == {"input_tokens": 7, "output_tokens": tokens or 0}
    assert found.get("requests", 0) + found.get("failed_requests", 0) == 1
    # Whoever got an error from us pays nothing for it.
    if status >= 500:
        assert not is_billed(status, is_disconnected=has_left, output_tokens=tokens)


@pytest.mark.case("M21")
def test_what_is_free_cannot_be_sold() -> None:
    assert set(Meter) - SOLD_METERS == {"failed_requests", "unbilled_input_tokens", "unbilled_output_tokens"}


@pytest.mark.parametrize("said", ["yes", 1, 0, [], {}])
def test_who_left_is_true_or_false(said: Any) -> None:
    with pytest.raises(Refused, match="is_disconnected"):
        count(is_disconnected=said)
