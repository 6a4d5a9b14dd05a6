"""Rated lines and price tiers as JSON that gives the same values back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from controlplane.kernel.period import Period
from controlplane.rating.domain import PriceVersionId, RatedLine, Share, Step, StepKind, Tier
from controlplane.rating.pricers import text


def tiers_to_json(tiers: Sequence[Tier]) -> list[dict[str, str | None]]:
    return [
        {"up_to": None if tier.up_to is None else text(tier.up_to), "unit_price": text(tier.unit_price)}
        for tier in tiers
    ]


def tiers_from_json(stored: Sequence[Mapping[str, str | None]]) -> tuple[Tier, ...]:
    return tuple(
        Tier(None if tier["up_to"] is None else Decimal(tier["up_to"]), Decimal(tier["unit_price"] or 0))
        for tier in stored
    )


def line_to_json(line: RatedLine) -> dict[str, Any]:
    """Everything of a line; amounts as decimal texts, instants as ISO 8601."""
    return {
        "sku": line.sku,
        "description_fr": line.description_fr,
        "description_en": line.description_en,
        "quantity": text(line.quantity),
        "unit": line.unit,
        "price_base_quantity": text(line.price_base_quantity),
        "unit_price": text(line.unit_price),
        "list_unit_price": text(line.list_unit_price),
        "exact_amount": text(line.exact_amount),
        "net_minor": line.net_minor,
        "currency": line.currency,
        "charge_period": [line.charge_period.start.isoformat(), line.charge_period.end.isoformat()],
        "calculation": [
            {"kind": step.kind.value, "inputs": dict(step.inputs), "result": step.result}
            for step in line.calculation
        ],
        "price_version_id": None if line.price_version_id is None else str(line.price_version_id),
        "tier": line.tier,
        "is_correction": line.is_correction,
        "project_id": line.project_id,
        "service_id": line.service_id,
        "shares": [
            [share.project_id, share.service_id, text(share.quantity), text(share.exact_amount)]
            for share in line.shares
        ],
    }


def line_from_json(stored: Mapping[str, Any]) -> RatedLine:
    """Read what `line_to_json` wrote."""
    version = stored["price_version_id"]
    start, end = (datetime.fromisoformat(instant) for instant in stored["charge_period"])
    return RatedLine(
        sku=stored["sku"],
        description_fr=stored["description_fr"],
        description_en=stored["description_en"],
        quantity=Decimal(stored["quantity"]),
        unit=stored["unit"],
        price_base_quantity=Decimal(stored["price_base_quantity"]),
        unit_price=Decimal(stored["unit_price"]),
        list_unit_price=Decimal(stored["list_unit_price"]),
        exact_amount=Decimal(stored["exact_amount"]),
        net_minor=stored["net_minor"],
        currency=stored["currency"],
        charge_period=Period(start, end),
        calculation=tuple(
            Step(StepKind(step["kind"]), step["inputs"], step["result"]) for step in stored["calculation"]
        ),
        price_version_id=None if version is None else PriceVersionId.parse(version),
        tier=stored["tier"],
        is_correction=stored["is_correction"],
        project_id=stored["project_id"],
        service_id=stored["service_id"],
        shares=tuple(
            Share(project, service, Decimal(quantity), Decimal(amount))
            for project, service, quantity, amount in stored["shares"]
        ),
    )
