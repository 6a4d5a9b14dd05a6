"""What a price may look like, when it may begin, and which one is in force. Pure.

Source: EN 16931 BT-146 and BT-149 with BR-FR-DEC-03 (at most 6 decimals, base quantity). A price touches later
usage only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput
from controlplane.rating.domain import Price, PriceVersion, PricingModel, Sku, Tier

# EN 16931 as the French platforms read it: unit price at most 6 decimals (BR-FR-DEC-03), quantity at most 4.
PRICE_DECIMALS_MAX = 6
QUANTITY_DECIMALS = 4
# With a base of at most a million, 18 decimals of an amount decide every rounding to the cent (README).
BASE_QUANTITY_MAX = 1_000_000
TIERS_MAX = 32
UNIT_PRICE_MAX = Decimal(1_000_000)
SIMULATED = "is_simulated"

VersionTable = Mapping[tuple[str, str], Sequence[PriceVersion]]


def check_price(price: Price) -> None:
    """Raise InvalidInput that names every field of a price that cannot be billed."""
    problems: list[FieldProblem] = []
    base = price.base_quantity
    if base != base.to_integral_value() or not 1 <= base <= BASE_QUANTITY_MAX:
        problems.append(FieldProblem("base_quantity", f"is a whole number from 1 to {BASE_QUANTITY_MAX}"))
    if price.free_quantity < 0 or _decimals(price.free_quantity) > QUANTITY_DECIMALS:
        problems.append(
            FieldProblem("free_quantity", f"is not negative and has at most {QUANTITY_DECIMALS} decimals")
        )
    if price.currency != "EUR":
        problems.append(FieldProblem("currency", "is EUR: VAT is determined in euros"))
    if price.model is PricingModel.FLAT and (base != 1 or price.free_quantity != 0):
        problems.append(FieldProblem("model", "a FLAT price has base quantity 1 and nothing free"))
    problems += _check_tiers(price)
    if problems:
        raise InvalidInput("The price cannot be billed.", fields=tuple(problems))


def _check_tiers(price: Price) -> list[FieldProblem]:
    tiers = price.tiers
    if not 1 <= len(tiers) <= TIERS_MAX:
        return [FieldProblem("tiers", f"are 1 to {TIERS_MAX}")]
    problems = []
    if price.model is not PricingModel.GRADUATED and len(tiers) != 1:
        problems.append(FieldProblem("tiers", f"a {price.model} price has exactly one tier"))
    if tiers[-1].up_to is not None:
        problems.append(FieldProblem("tiers", "the last tier is open-ended: its up_to is null"))
    floor = Decimal(0)
    for index, tier in enumerate(tiers):
        if not 0 <= tier.unit_price <= UNIT_PRICE_MAX or _decimals(tier.unit_price) > PRICE_DECIMALS_MAX:
            problems.append(
                FieldProblem(
                    f"tiers.{index}.unit_price",
                    f"lies between 0 and {UNIT_PRICE_MAX} with at most {PRICE_DECIMALS_MAX} decimals: "
                    "express a smaller price for a larger base_quantity (BT-149)",
                )
            )
        if index < len(tiers) - 1:
            if tier.up_to is None or tier.up_to <= floor or _decimals(tier.up_to) > QUANTITY_DECIMALS:
                problems.append(FieldProblem(f"tiers.{index}.up_to", "ascends from tier to tier"))
            floor = tier.up_to or floor
    return problems


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a price is a finite number"
    return max(0, -exponent)


def is_full_hour(instant: datetime) -> bool:
    return (instant.minute, instant.second, instant.microsecond) == (0, 0, 0)


def check_new_version(existing: Sequence[PriceVersion], new: PriceVersion, now: datetime) -> None:
    """Raise Conflict or InvalidInput unless `new` fits beside the versions of the same book and SKU.

    Usage is kept by the hour, so a price begins and ends on one. What had a price in the past keeps it.
    """
    for name, instant in (("valid_from", new.valid_from), ("valid_to", new.valid_to)):
        if instant is not None and not is_full_hour(instant):
            raise InvalidInput(
                "A price begins and ends on a full hour (UTC).",
                fields=(FieldProblem(name, "is not a full hour"),),
            )
    if new.valid_to is not None and new.valid_to <= new.valid_from:
        raise InvalidInput(
            "A price ends after it begins.", fields=(FieldProblem("valid_to", "is not after valid_from"),)
        )
    for other in existing:
        if other.valid_from == new.valid_from:
            raise Conflict(f"Price version {other.id} begins at the same instant; prices never change.")
        if other.valid_from < new.valid_from and other.valid_to is not None:
            if other.valid_to > new.valid_from:
                raise Conflict(f"Price version {other.id} is in force until {other.valid_to.isoformat()}.")
        elif new.valid_to is not None and new.valid_from < other.valid_from < new.valid_to:
            raise Conflict(f"Price version {other.id} begins before this one would end.")
    _check_past(existing, new, now)


def _check_past(existing: Sequence[PriceVersion], new: PriceVersion, now: datetime) -> None:
    if new.valid_from >= now:
        return
    for start, end in list_validity(existing):
        if start < now and (end is None or end > new.valid_from) and start <= new.valid_from:
            raise Conflict(
                "A price cannot be changed for time that has passed: choose a later valid_from.",
                fields=(FieldProblem("valid_from", "lies in the past, which has a price already"),),
            )


def list_validity(versions: Iterable[PriceVersion]) -> list[tuple[datetime, datetime | None]]:
    """When each version is in force, ascending: to its own end, or to where the next one begins."""
    ordered = sorted(versions, key=lambda version: version.valid_from)
    if not ordered:
        return []
    ends = [*(version.valid_from for version in ordered[1:]), None]
    return [
        (version.valid_from, version.valid_to if version.valid_to is not None else end)
        for version, end in zip(ordered, ends, strict=True)
    ]


def find_version(versions: Iterable[PriceVersion], at: datetime) -> PriceVersion | None:
    """The version in force at an instant; None in a gap."""
    begun = [version for version in versions if version.valid_from <= at]
    if not begun:
        return None
    last = max(begun, key=lambda version: version.valid_from)
    return last if last.valid_to is None or at < last.valid_to else None


def list_edges(versions: Iterable[PriceVersion]) -> set[datetime]:
    """Instants at which a price begins or ends."""
    found = set()
    for version in versions:
        found.add(version.valid_from)
        if version.valid_to is not None:
            found.add(version.valid_to)
    return found


def is_match(sku: Sku, meter: str, dimensions: Mapping[str, str]) -> bool:
    """Tell whether a SKU prices such usage; simulated usage only where the SKU says so."""
    if sku.meter != meter:
        return False
    if dimensions.get(SIMULATED) == "true" and sku.matches.get(SIMULATED) != "true":
        return False
    return all(dimensions.get(name) == value for name, value in sku.matches.items())


def list_matching(skus: Iterable[Sku], meter: str, dimensions: Mapping[str, str]) -> list[Sku]:
    """SKUs that fit, the most specific first; between equals the code decides, so that it is never chance."""
    fitting = [sku for sku in skus if is_match(sku, meter, dimensions)]
    return sorted(fitting, key=lambda sku: (-len(sku.matches), sku.code))


def make_per_unit(unit_price: Decimal, base_quantity: Decimal = Decimal(1)) -> Price:
    return Price(PricingModel.PER_UNIT, (Tier(None, unit_price),), base_quantity)
