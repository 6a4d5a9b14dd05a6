"""Chapter 8, second half: a price book, a plan, a monthly budget; past it nothing runs and nothing is billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import openai

from infra.demo.calls import openai_client, read_usage
from infra.demo.stage import Stage
from infra.demo.teller import StoryBroken, Teller, require
from infra.demo.tenant import MODEL, Tenant
from infra.demo.usage import ask, keep_engine_counts, read_totals, wait_for_tokens
from infra.demo.waiting import wait_until

PLAN = "atelier"
# Made up, and so dear that single tokens are seen in cents: the same token is then found on the invoice.
TOKEN_PRICES = {"tokens.input": "0.01", "tokens.output": "0.05"}
# Whole euros above what the month has cost so far: some calls more pass it.
BUDGET_STEP = 1
RAISED = "1000.00"
QUESTION = "Write a short poem about electricity."
# Each answer has at least one output token of 5 cents, and most have twenty.
CALLS_MAX = 20


def agree(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    """The operator's price book and plan for this tenant."""
    month_start = tenant.client.costs.get()["period_start"]
    for sku, price in TOKEN_PRICES.items():
        stage.admin.prices.create(
            {
                "book": PLAN,
                "sku": sku,
                "model": "PER_UNIT",
                "tiers": [{"unit_price": price}],
                "valid_from": month_start,
            }
        )
    plan = {"code": PLAN, "title_fr": "Atelier", "title_en": "Workshop", "book": PLAN}
    stage.admin.prices.create_plan(plan)
    stage.admin.organizations.set_plan(tenant.organization["id"], PLAN)
    mine = tenant.client.costs.plan()
    teller.say(
        f"plan '{mine['plan']['code']}' with a price book of its own: {TOKEN_PRICES['tokens.input']} € an input token, "
        f"{TOKEN_PRICES['tokens.output']} € an output token (made up, so that one token shows in cents)"
    )


def tell(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    spent = tenant.client.costs.get()["net"]
    budget = f"{(Decimal(spent) // BUDGET_STEP + 2) * BUDGET_STEP:.2f}"
    tenant.client.budgets.set({"amount": budget, "is_hard": True})
    teller.say(f"the month costs {spent} € so far; the tenant sets a hard budget of {budget} €")
    cost = _spend(teller, stage, tenant, budget)
    error = _wait_for_refusal(teller, stage, tenant)
    _prove_refusal(teller, stage, tenant, error)
    alerts = _read_alerts(teller, tenant)
    # Each change of a budget makes the workers look at it again: first while it is still used up.
    tenant.client.budgets.set({"amount": budget, "is_hard": True})
    tenant.client.budgets.set({"amount": RAISED, "is_hard": True})
    wait_until(teller, "the gateway letting calls pass again", lambda: _may_call(stage, tenant), 20)
    require(tenant.client.budgets.alerts() == alerts, "an alert must fire once")
    teller.say(f"the tenant raises it to {RAISED} €: calls pass again, and no alert fired a second time")
    teller.figure("cost_live", cost["net"])
    keep_engine_counts(teller, tenant)


def _spend(teller: Teller, stage: Stage, tenant: Tenant, budget: str) -> dict[str, Any]:
    """Call until the month's live cost has reached the budget; nothing may be refused before."""
    calls = 0
    cost = tenant.client.costs.get()
    while Decimal(cost["net"]) < Decimal(budget):
        require(calls < CALLS_MAX, f"{calls} calls cost {cost['net']} €, less than {budget} €")
        ask(stage, tenant, QUESTION)
        calls += 1
        wait_for_tokens(teller, tenant)
        cost = tenant.client.costs.get()
    teller.say(f"calls until it is reached: {calls}; the live cost is then {cost['net']} €:")
    for line in cost["lines"]:
        teller.say(
            f"  · {line['description_en']}: {line['quantity']} × {line['unit_price']} € "
            f"/ {line['price_base_quantity']} = {line['net']} €"
        )
    return cost


def _wait_for_refusal(teller: Teller, stage: Stage, tenant: Tenant) -> openai.RateLimitError:
    """The gateway learns of it within seconds. `GET /v1/models` is checked like a call and runs nothing."""
    wait_until(teller, "the gateway refusing", lambda: not _may_call(stage, tenant), 20)
    try:
        ask(stage, tenant, QUESTION)
    except openai.RateLimitError as refused:
        return refused
    raise StoryBroken("past the budget a call must be refused")


def _may_call(stage: Stage, tenant: Tenant) -> bool:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    reply = httpx.get(f"{stage.gateway_url}/v1/models", headers=headers, timeout=10)
    require(
        reply.status_code in {200, 429}, f"GET /v1/models answered {reply.status_code}: {reply.text[:200]}"
    )
    return reply.status_code == 200


def _prove_refusal(teller: Teller, stage: Stage, tenant: Tenant, error: openai.RateLimitError) -> None:
    request_id = error.response.headers["x-request-id"]
    require(error.code == "insufficient_quota", f"the refusal's code is {error.code}")
    teller.say(
        f"past the budget: {error.status_code} {error.code}: {error.response.json()['error']['message']}"
    )
    before, lines = read_totals(tenant), len(read_usage(stage))
    for _ in range(3):
        try:
            openai_client(stage, tenant.key).chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": QUESTION}], stream=False
            )
        except openai.RateLimitError:
            continue
        raise StoryBroken("past the budget every call must be refused")
    recorded = {line["id"] for line in read_usage(stage)}
    require(request_id not in recorded and len(recorded) == lines, "a refused call must leave no usage")
    require(read_totals(tenant) == before, "a refused call must not be billed")
    teller.say(f"4 refused calls: usage and cost are what they were ({lines} usage lines before and after)")
    teller.figure("budget_refusal", {"status": error.status_code, "code": error.code})


def _read_alerts(teller: Teller, tenant: Tenant) -> list[dict[str, Any]]:
    alerts = wait_until(
        teller, "the alerts", lambda: found if len(found := tenant.client.budgets.alerts()) == 3 else None, 20
    )
    told = [f"{alert['threshold_percent']} % at {alert['cost']} €" for alert in alerts]
    teller.say(f"alerts, each fired once: {', '.join(told)}")
    teller.figure("budget_alerts", alerts)
    exceeded = [alert for alert in alerts if alert["threshold_percent"] == 100]
    require(len(exceeded) == 1, "that the budget is used up must be told once")
    return alerts
