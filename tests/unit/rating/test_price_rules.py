"""Which prices may be, and when."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.errors import Conflict, InvalidInput, RempartError
from controlplane.rating.domain import Price, PriceVersion, PricingModel, Sku, Tier
from controlplane.rating.price_rules import (
    check_new_version,
    check_price,
    find_version,
    list_matching,
    list_validity,
)
from tests.unit.rating.values import INPUT, REAL, graduated, per_unit, unhurried, version

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
HOURS = st.integers(-500, 500).map(
    lambda hours: datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(hours=hours)
)

FLAWED = [
    (per_unit("0.0000001"), "tiers.0.unit_price"),
    (per_unit("1000001"), "tiers.0.unit_price"),
    (per_unit("1", base="0"), "base_quantity"),
    (per_unit("1", base="1000001"), "base_quantity"),
    (per_unit("1", base="1.5"), "base_quantity"),
    (per_unit("1", free="0.00001"), "free_quantity"),
    (graduated(("10", "1"), ("5", "1"), (None, "1")), "tiers.1.up_to"),
    (graduated((None, "1"), (None, "1")), "tiers.0.up_to"),
    (graduated(("10", "1")), "tiers"),
    (Price(PricingModel.PER_UNIT, (Tier(Decimal(5), Decimal(1)), Tier(None, Decimal(1)))), "tiers"),
    (Price(PricingModel.FLAT, (Tier(None, Decimal(1)),), Decimal(10)), "model"),
    (Price(PricingModel.GRADUATED, ()), "tiers"),
    (Price(PricingModel.PER_UNIT, (Tier(None, Decimal(1)),), currency="CHF"), "currency"),
]


@pytest.mark.parametrize(("price", "field"), FLAWED)
def test_a_price_that_cannot_be_billed_names_its_field(price: Price, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_price(price)
    assert field in {problem.field for problem in refused.value.fields}


@unhurried
@given(
    starts=st.lists(st.tuples(HOURS, st.one_of(st.none(), st.integers(1, 100))), max_size=8),
    probes=st.lists(HOURS, min_size=1, max_size=8),
)
def test_a_price_touches_later_usage_only(
    starts: list[tuple[datetime, int | None]], probes: list[datetime]
) -> None:
    """Whatever is added and whatever is refused: validity never overlaps, and the past keeps what it had."""
    known: list[PriceVersion] = []
    for start, hours in starts:
        end = None if hours is None else start + timedelta(hours=hours)
        new = version(per_unit("1"), valid_from=start, valid_to=end)
        before = {at: find_version(known, at) for at in probes if at < NOW}
        try:
            check_new_version(known, new, NOW)
        except RempartError:
            continue
        known.append(new)
        for at, had in before.items():
            assert had is None or find_version(known, at) == had
    spans = list_validity(known)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end is not None
        assert end <= start


class TestCheckNewVersion:
    def test_an_open_price_is_followed_by_the_next(self) -> None:
        old = version(per_unit("1"), valid_from=NOW.replace(minute=0) - timedelta(days=30))
        new = version(per_unit("2"), valid_from=NOW.replace(minute=0) + timedelta(hours=1))
        check_new_version([old], new, NOW)
        assert find_version([old, new], new.valid_from - timedelta(microseconds=1)) == old
        assert find_version([old, new], new.valid_from) == new

    @pytest.mark.parametrize("start", [NOW, NOW.replace(minute=0, second=1)])
    def test_it_begins_on_a_full_hour(self, start: datetime) -> None:
        with pytest.raises(InvalidInput):
            check_new_version([], version(per_unit("1"), valid_from=start), NOW)

    def test_a_gap_in_the_past_may_be_filled(self) -> None:
        later = version(per_unit("1"), valid_from=datetime(2026, 11, 1, tzinfo=UTC))
        check_new_version([later], version(per_unit("2"), valid_from=datetime(2026, 10, 1, tzinfo=UTC)), NOW)

    def test_what_was_priced_is_not_priced_again(self) -> None:
        old = version(per_unit("1"), valid_from=datetime(2026, 10, 1, tzinfo=UTC))
        with pytest.raises(Conflict, match="time that has passed"):
            check_new_version(
                [old], version(per_unit("2"), valid_from=datetime(2026, 11, 1, tzinfo=UTC)), NOW
            )


class TestListMatching:
    def test_the_most_specific_comes_first_and_simulated_usage_only_where_it_is_named(self) -> None:
        model = Sku("tokens.input.small", "", "", "input_tokens", "token", {"model": "smollm2-135m"})
        simulated = Sku("tokens.input.sim", "", "", "input_tokens", "token", {"is_simulated": "true"})
        skus = [INPUT, model, simulated]
        assert list_matching(skus, "input_tokens", REAL) == [model, INPUT]
        assert list_matching(skus, "input_tokens", {**REAL, "model": "other"}) == [INPUT]
        assert list_matching(skus, "input_tokens", {**REAL, "is_simulated": "true"}) == [simulated]
        assert list_matching(skus, "output_tokens", REAL) == []
