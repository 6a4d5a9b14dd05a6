"""A month's usage as lines, credits, problems and a hash."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.period import Period
from controlplane.metering.domain import UsageTotal
from controlplane.rating import pricers
from controlplane.rating.budget_rules import cost_of, list_reached
from controlplane.rating.credit_rules import check_grant
from controlplane.rating.domain import (
    Budget,
    CreditKind,
    Plan,
    Price,
    PricingModel,
    ProblemReason,
    RatedLine,
    Sku,
    StepKind,
    Tier,
)
from controlplane.rating.line_rules import correct, only_project
from controlplane.rating.rating_rules import PlanSpan, list_plan_spans, list_slices, rate, sum_by
from controlplane.rating.wire_rules import line_from_json, line_to_json
from tests.unit.rating.values import (
    INPUT,
    LONG_AGO,
    MONTH,
    OTHER_PROJECT,
    PAYG,
    PROJECT,
    TENANT,
    given_input,
    graduated,
    grant,
    per_unit,
    table,
    unhurried,
    usage,
    version,
)

ZERO = Decimal(0)
GRADUATED = graduated(("1000", "0.5"), ("5000", "0.25"), (None, "0.1"), free="100", base="10")
AMOUNTS = st.decimals(0, 4000, places=6)
USES = st.lists(st.tuples(st.sampled_from("abc"), AMOUNTS), min_size=1, max_size=8)
GPU = Sku("gpu.nvidia-b300", "GPU", "GPU", "gpu_seconds", "gpu_second", {"sku": "nvidia-b300"})


def exact(lines: tuple[RatedLine, ...]) -> Decimal:
    return sum((line.exact_amount for line in lines), ZERO)


def totals_of(uses: list[tuple[str, Decimal]], span: Period = MONTH) -> list[UsageTotal]:
    return [usage(quantity, service=f"svc_{name}", span=span) for name, quantity in uses]


class TestRate:
    def test_tokens_below_six_decimals_are_priced_for_a_million(self) -> None:
        rated = rate(given_input(table(version(per_unit("0.12", "1000000"))), [usage(41_250)]))
        [line] = rated.lines
        assert (line.quantity, line.price_base_quantity, line.unit_price) == (
            41_250,
            1_000_000,
            Decimal("0.12"),
        )
        assert (pricers.text(line.exact_amount), line.net_minor) == ("0.00495", 0)
        assert (line.project_id, line.service_id) == (str(PROJECT), "svc_a")

    def test_a_gpu_held_all_october_is_2_682_000_seconds(self) -> None:
        versions = table(version(per_unit("5.90", "3600"), GPU.code))
        totals = [usage(2_682_000, meter="gpu_seconds", sku="nvidia-b300")]
        [line] = rate(given_input(versions, totals, skus=[GPU])).lines
        assert line.net_minor == 439_550

    @unhurried
    @given(uses=USES, cuts=st.lists(st.integers(1, 740), max_size=3, unique=True))
    def test_a_cut_of_the_period_never_changes_its_price(
        self, uses: list[tuple[str, Decimal]], cuts: list[int]
    ) -> None:
        """An edge without a change (another SKU's price begins there) leaves every byte of the lines alone."""
        versions = table(version(GRADUATED))
        whole = rate(given_input(versions, totals_of(uses)))
        edges = [MONTH.start, *(MONTH.start + timedelta(hours=cut) for cut in sorted(cuts)), MONTH.end]
        spans = [Period(a, b) for a, b in itertools.pairwise(edges)]
        parted = [
            usage(quantity, service=f"svc_{name}", span=spans[index % len(spans)])
            for index, (name, quantity) in enumerate(uses)
        ]
        assert rate(given_input(versions, parted)).lines == whole.lines

    @unhurried
    @given(uses=USES, seed=st.integers(0, 10**6))
    def test_order_and_grouping_of_usage_do_not_matter(
        self, uses: list[tuple[str, Decimal]], seed: int
    ) -> None:
        versions = table(version(GRADUATED), version(per_unit("1"), "other"))
        totals = totals_of(uses)
        shuffled = list(totals)
        random.Random(seed).shuffle(shuffled)
        assert rate(given_input(versions, shuffled)) == rate(given_input(versions, totals))
        halves = [replace(t, quantity=t.quantity / 2) for t in totals for _ in range(2)]
        assert rate(given_input(versions, halves)).lines == rate(given_input(versions, totals)).lines

    @unhurried
    @given(uses=USES)
    def test_every_step_of_a_line_can_be_replayed(self, uses: list[tuple[str, Decimal]]) -> None:
        pro = Plan("pro", "", "", "standard", "plan.pro", Decimal("12.5"), 10_000_000)
        fee = Sku("plan.pro", "Pro", "Pro", None, "month", {})
        flat = Price(PricingModel.FLAT, (Tier(None, Decimal("49.00")),))
        versions = table(version(GRADUATED), version(flat, "plan.pro"))
        spans = [PlanSpan(pro, MONTH)]
        for line in rate(given_input(versions, totals_of(uses), skus=[INPUT, fee], plans=spans)).lines:
            results = {}
            for step in line.calculation:
                assert pricers.replay(step) == step.result, step
                results[step.kind] = step.result
            assert results.get(StepKind.BALANCE, results[StepKind.ROUND]) == str(line.net_minor)
            if StepKind.AMOUNT in results:
                assert results[StepKind.AMOUNT] == pricers.text(line.exact_amount)
                assert line.exact_amount == pricers.amount_of(
                    line.quantity, line.unit_price, line.price_base_quantity
                )

    @unhurried
    @given(uses=USES)
    def test_shares_sum_to_their_line_exactly(self, uses: list[tuple[str, Decimal]]) -> None:
        rated = rate(given_input(table(version(GRADUATED)), totals_of(uses)))
        for line in rated.lines:
            assert sum((share.quantity for share in line.shares), ZERO) == line.quantity
            assert sum((share.exact_amount for share in line.shares), ZERO) == line.exact_amount
        for name in ("sku", "project", "service"):
            assert sum((amount for _, amount in sum_by(rated.lines, name).values()), ZERO) == exact(
                rated.lines
            )

    def test_a_new_price_counts_from_its_hour_and_tiers_go_on(self) -> None:
        edge = MONTH.start + timedelta(days=10)
        old = version(graduated(("100", "1"), (None, "0.5")))
        new = version(graduated(("100", "2"), (None, "1")), valid_from=edge)
        first, second = Period(MONTH.start, edge), Period(edge, MONTH.end)
        versions = table(old, new)
        assert list_slices(MONTH, [PlanSpan(PAYG, MONTH)], versions) == [first, second]
        rated = rate(given_input(versions, [usage(80, span=first), usage(50, span=second)]))
        found = {
            (line.price_version_id, line.tier): (line.quantity, line.exact_amount) for line in rated.lines
        }
        assert found == {(old.id, 1): (80, 80), (new.id, 1): (20, 40), (new.id, 2): (30, 30)}

    def test_a_contract_book_goes_before_the_standard_one(self) -> None:
        plan = replace(PAYG, code="acme", book="acme")
        versions = table(version(per_unit("2")), version(per_unit("1"), book="acme"))
        [line] = rate(given_input(versions, [usage(10)], plans=[PlanSpan(plan, MONTH)])).lines
        assert line.net_minor == 1_000

    def test_usage_without_a_price_holds_the_period(self) -> None:
        late = version(per_unit("1"), valid_from=MONTH.end)
        [problem] = rate(given_input(table(late), [usage(7)])).problems
        assert (problem.reason, problem.quantity) == (ProblemReason.NO_PRICE, 7)
        only_h100 = replace(GPU, matches={"sku": "nvidia-h100"})
        totals = [usage(7, meter="gpu_seconds", sku="nvidia-b300")]
        [problem] = rate(given_input(table(), totals, skus=[only_h100])).problems
        assert problem.reason is ProblemReason.NO_SKU
        [problem] = rate(given_input(table(version(per_unit("1"))), [usage(-7)])).problems
        assert problem.reason is ProblemReason.NEGATIVE_USAGE

    def test_simulated_usage_is_billed_only_as_such(self) -> None:
        marked = Sku(
            "gpu.sim", "GPU (capacité simulée)", "", "gpu_seconds", "gpu_second", {"is_simulated": "true"}
        )
        versions = table(version(per_unit("1"), GPU.code), version(per_unit("2"), "gpu.sim"))
        totals = [usage(10, meter="gpu_seconds", sku="nvidia-b300", is_simulated="true")]
        unsold = rate(given_input(versions, totals, skus=[GPU]))
        assert (unsold.lines, unsold.problems) == ((), ())
        [line] = rate(given_input(versions, totals, skus=[GPU, marked])).lines
        assert line.sku == "gpu.sim"

    def test_a_meter_that_is_not_sold_is_no_problem(self) -> None:
        rated = rate(given_input(table(version(per_unit("1"))), [usage(5, meter="requests")]))
        assert (rated.lines, rated.problems) == ((), ())


class TestPlans:
    def test_fees_of_two_plans_in_one_month_are_due_by_the_second(self) -> None:
        pro = replace(PAYG, code="pro", fee_sku="plan.pro")
        fee = Sku("plan.pro", "Pro", "Pro", None, "month", {})
        flat = version(Price(PricingModel.FLAT, (Tier(None, Decimal("49.00")),)), "plan.pro")
        begins = MONTH.start + timedelta(hours=447)
        spans = list_plan_spans(MONTH, [(LONG_AGO, PAYG), (begins, pro)], PAYG)
        [line] = rate(given_input(table(flat), [], skus=[fee], plans=spans)).lines
        # October 2026 has 745 hours in Paris: (745 − 447) ÷ 745 = 0.4.
        assert (line.quantity, line.net_minor, line.charge_period.start) == (Decimal("0.4"), 1_960, begins)

    def test_a_minimum_is_topped_up_and_a_discount_forms_the_price(self) -> None:
        plan = replace(PAYG, minimum_minor=10_000, discount_percent=Decimal(20))
        rated = rate(given_input(table(version(per_unit("1"))), [usage(50)], plans=[PlanSpan(plan, MONTH)]))
        assert [(line.sku, line.unit_price, line.net_minor) for line in rated.lines] == [
            (INPUT.code, Decimal("0.8"), 4_000),
            ("plan.minimum", Decimal(60), 6_000),
        ]

    def test_spans_tile_the_month(self) -> None:
        other = replace(PAYG, code="other")
        edges = [(LONG_AGO, PAYG), (MONTH.start + timedelta(hours=5), other), (MONTH.end, PAYG)]
        spans = list_plan_spans(MONTH, edges, PAYG)
        assert [(part.plan.code, part.span.duration) for part in spans] == [
            ("payg", timedelta(hours=5)),
            ("other", MONTH.duration - timedelta(hours=5)),
        ]


class TestCredits:
    def test_credits_are_spent_in_their_order_and_never_twice(self) -> None:
        first = grant(300, priority=1)
        soon = grant(400, expires_in_days=40)
        later = grant(500, expires_in_days=80)
        never = grant(600, left_minor=50)
        ended = grant(700, priority=0, expires_in_days=-1)
        grants = [never, later, ended, soon, first]
        rated = rate(given_input(table(version(per_unit("1"))), [usage("12.40")], grants=grants))
        assert [(use.grant_id, use.amount_minor) for use in rated.credits] == [
            (first.id, 300), (soon.id, 400), (later.id, 500), (never.id, 40),
        ]  # fmt: skip
        assert (rated.net_minor, rated.credit_minor, rated.due_minor) == (1_240, 1_240, 0)

    @unhurried
    @given(net=st.integers(0, 5_000), amounts=st.lists(st.integers(1, 2_000), max_size=5))
    def test_credits_pay_no_more_than_is_owed_or_left(self, net: int, amounts: list[int]) -> None:
        grants = [grant(amount) for amount in amounts]
        rated = rate(given_input(table(version(per_unit("0.01"))), [usage(net)], grants=grants))
        assert rated.credit_minor == min(net, sum(amounts))
        left = {each.id: each.left_minor for each in grants}
        assert all(0 < use.amount_minor <= left[use.grant_id] for use in rated.credits)

    def test_a_promotional_credit_ends_within_a_year(self) -> None:
        check_grant(replace(grant(5, kind=CreditKind.PROMOTIONAL), expires_at=LONG_AGO + timedelta(days=365)))
        for expires_at in (None, LONG_AGO + timedelta(days=367)):
            with pytest.raises(InvalidInput):
                check_grant(replace(grant(5, kind=CreditKind.PROMOTIONAL), expires_at=expires_at))


class TestCorrect:
    @unhurried
    @given(before=USES, late=USES, price=st.sampled_from((GRADUATED, per_unit("0.37", "7", free="20"))))
    def test_billed_plus_correction_is_what_it_costs_now(
        self, before: list[tuple[str, Decimal]], late: list[tuple[str, Decimal]], price: Price
    ) -> None:
        versions = table(version(price))
        booked = rate(given_input(versions, totals_of(before)))
        now = rate(given_input(versions, totals_of(before + late)))
        lines = correct(now.lines, booked.lines)
        assert exact(booked.lines) + exact(lines) == exact(now.lines)
        for line in lines:
            assert line.is_correction
            assert line.charge_period == MONTH
            assert abs(line.net_minor - line.exact_amount * 100) < 1
            assert all(pricers.replay(step) == step.result for step in line.calculation)
        assert correct(now.lines, (*booked.lines, *lines)) == ()

    def test_nothing_late_is_nothing_to_correct(self) -> None:
        rated = rate(given_input(table(version(GRADUATED)), [usage(5_000)]))
        assert correct(rated.lines, rated.lines) == ()

    def test_late_usage_below_the_minimum_moves_from_the_top_up_to_the_usage(self) -> None:
        plan = replace(PAYG, minimum_minor=10_000)
        versions, spans = table(version(per_unit("1"))), [PlanSpan(plan, MONTH)]
        booked = rate(given_input(versions, [usage(50)], plans=spans))
        now = rate(given_input(versions, [usage(70)], plans=spans))
        lines = correct(now.lines, booked.lines)
        assert [(line.sku, line.quantity, line.unit_price, line.net_minor) for line in lines] == [
            ("plan.minimum", -1, 20, -2_000),
            (INPUT.code, 20, 1, 2_000),
        ]


def test_a_line_comes_back_from_json_as_it_went() -> None:
    totals = [usage(5_000), usage(3, service="svc_b", project=OTHER_PROJECT)]
    for line in rate(given_input(table(version(GRADUATED)), totals)).lines:
        assert line_from_json(line_to_json(line)) == line


def test_a_project_sees_its_own_part() -> None:
    totals = [usage(30), usage(10, service="svc_b", project=OTHER_PROJECT)]
    rated = rate(given_input(table(version(per_unit("1"))), totals))
    [line] = only_project(rated.lines, str(OTHER_PROJECT))
    assert (line.quantity, line.net_minor) == (10, 1_000)
    budget = Budget(TENANT, OTHER_PROJECT, 2_000, "EUR", True, 1, LONG_AGO)
    assert cost_of(budget, rated) == 1_000
    assert cost_of(replace(budget, project_id=None), rated) == 4_000


@pytest.mark.parametrize(
    ("cost", "reached"),
    [(0, ()), (499, ()), (500, (50,)), (799, (50,)), (800, (50, 80)), (1000, (50, 80, 100))],
)
def test_thresholds_are_reached_to_the_cent(cost: int, reached: tuple[int, ...]) -> None:
    assert list_reached(cost, 1_000) == reached
