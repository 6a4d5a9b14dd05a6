"""`rempart admin prices`, `skus`, `plans`, `credits`: what is sold and for how much, for the platform operator."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.completion import SKUS, offer
from controlplane.cli.config import connect
from controlplane.cli.costs import CREDIT_COLUMNS, read_amount, split_pair
from controlplane.cli.errors import WrongUse
from controlplane.cli.names import OrganizationArgument, PlanArgument, SkuArgument
from controlplane.cli.output import Format, OutputOption, show_list, show_one

prices = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
skus = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
plans = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
grants = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PRICE_COLUMNS = (
    ("sku", "sku"),
    ("book", "book"),
    ("model", "model"),
    ("for", "base_quantity"),
    ("free", "free_quantity"),
    ("tiers", "tiers"),
    ("from", "valid_from"),
    ("until", "valid_to"),
)
SKU_COLUMNS = (
    ("code", "code"),
    ("meter", "meter"),
    ("unit", "unit"),
    ("matches", "matches"),
    ("what", "description_en"),
)
PLAN_COLUMNS = (
    ("code", "code"),
    ("title", "title_en"),
    ("book", "book"),
    ("fee", "fee_sku"),
    ("discount %", "discount_percent"),
    ("minimum", "minimum"),
)
BookOption = Annotated[str, typer.Option(help="Price book.")]
FrenchOption = Annotated[str, typer.Option("--fr", help="As an invoice names it, in French.")]
EnglishOption = Annotated[str, typer.Option("--en", help="The same in English.")]
REST = "rest"


@prices.command("list")
def list_prices(output: OutputOption = Format.TABLE) -> None:
    """List all prices that were ever in force, newest first."""
    with connect() as client:
        show_list(client.prices.list(), PRICE_COLUMNS, output)


@prices.command("add")
def add_price(
    sku: SkuArgument,
    tier: Annotated[
        list[str],
        typer.Option(
            help="Euros for the base quantity: 0.20, or UP_TO=EUROS for each tier and rest=EUROS for the last."
        ),
    ],
    valid_from: Annotated[str, typer.Option("--from", help="Full hour to come (RFC 3339, UTC).")],
    valid_to: Annotated[
        str | None, typer.Option("--to", help="When it ends; else when the next version begins.")
    ] = None,
    base: Annotated[str, typer.Option(help="For how many units the price is.")] = "1",
    free: Annotated[str, typer.Option(help="Units of a month that cost nothing.")] = "0",
    flat: Annotated[bool, typer.Option("--flat", help="A monthly fee, not a price of usage.")] = False,
    book: BookOption = "standard",
    output: OutputOption = Format.TABLE,
) -> None:
    """Add a version of a price. Versions never change: usage keeps the price of its time."""
    tiers = [_read_tier(text) for text in tier]
    body = {
        "book": book, "sku": sku, "model": "FLAT" if flat else "PER_UNIT" if len(tiers) == 1 else "GRADUATED",
        "base_quantity": base, "free_quantity": free, "tiers": tiers, "valid_from": valid_from,
        "valid_to": valid_to,
    }  # fmt: skip
    with connect() as client:
        show_one(client.prices.create(body), output)


@skus.command("list")
def list_skus(output: OutputOption = Format.TABLE) -> None:
    """List what is sold."""
    with connect() as client:
        show_list(client.prices.skus(), SKU_COLUMNS, output, name="code")


@skus.command("add")
def add_sku(
    code: Annotated[str, typer.Argument(help="Code of what is sold.")],
    french: FrenchOption,
    english: EnglishOption,
    unit: Annotated[str, typer.Option(help="What is counted, such as token or gpu_second.")],
    meter: Annotated[str | None, typer.Option(help="The meter it prices; none for a fee.")] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(help="Dimension that the usage must have, NAME=VALUE; repeat for several."),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Add something that is sold."""
    matches = dict(split_pair(text) for text in match or ())
    body = {
        "code": code, "description_fr": french, "description_en": english, "meter": meter, "unit": unit,
        "matches": matches,
    }  # fmt: skip
    with connect() as client:
        show_one(client.prices.create_sku(body), output, name="code")


@plans.command("list")
def list_plans(output: OutputOption = Format.TABLE) -> None:
    """List plans."""
    with connect() as client:
        show_list(client.prices.plans(), PLAN_COLUMNS, output, name="code")


@plans.command("add")
def add_plan(
    code: Annotated[str, typer.Argument(help="Code of the plan.")],
    french: FrenchOption,
    english: EnglishOption,
    book: BookOption = "standard",
    fee: Annotated[
        str | None, typer.Option(help="Code of the SKU of its monthly fee.", autocompletion=offer(SKUS))
    ] = None,
    discount: Annotated[str, typer.Option(help="Off every price of usage, in percent.")] = "0",
    minimum: Annotated[str | None, typer.Option(help="Least spend a month, in euros.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Add a plan. Plans never change."""
    body = {
        "code": code, "title_fr": french, "title_en": english, "book": book, "fee_sku": fee,
        "discount_percent": discount, "minimum": "0.00" if minimum is None else read_amount(minimum),
    }  # fmt: skip
    with connect() as client:
        show_one(client.prices.create_plan(body), output, name="code")


@plans.command("get")
def get_plan(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """Show the plan of an organization."""
    with connect() as client:
        show_one(client.organizations.plan(organization), output, name="plan.code")


@plans.command("set")
def set_plan(
    organization: OrganizationArgument,
    plan: PlanArgument,
    valid_from: Annotated[
        str | None, typer.Option("--from", help="Full hour to come (RFC 3339, UTC); else the next one.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give an organization a plan; its first one may begin with the running month."""
    with connect() as client:
        show_one(client.organizations.set_plan(organization, plan, valid_from), output, name="plan.code")


@grants.command("list")
def list_credits(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """List an organization's credits and what is left of each."""
    with connect() as client:
        show_list(client.organizations.credits(organization), CREDIT_COLUMNS, output)


@grants.command("grant")
def grant_credit(
    organization: OrganizationArgument,
    amount: Annotated[str, typer.Argument(help="Euros before VAT, such as 50 or 99.50.")],
    label: Annotated[str, typer.Option(help="What it is for; printed on invoices.")],
    expires_at: Annotated[str, typer.Option(help="When it ends (RFC 3339, UTC), within a year.")],
    effective_from: Annotated[
        str | None, typer.Option("--from", help="From when it pays (RFC 3339, UTC); else from now on.")
    ] = None,
    priority: Annotated[int, typer.Option(min=0, max=1000, help="Lowest is spent first.")] = 100,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give an organization credit for nothing: a reduction of its next invoices. 'invoices deposit' sells credit."""
    body = {
        "kind": "PROMOTIONAL", "label": label, "amount": read_amount(amount), "priority": priority,
        "effective_from": effective_from, "expires_at": expires_at,
    }  # fmt: skip
    with connect() as client:
        show_one(client.organizations.grant_credit(organization, body), output)


def _read_tier(text: str) -> dict[str, str | None]:
    """`0.20`, `1000=0.20` or `rest=0.10`."""
    up_to, found, price = text.rpartition("=")
    if not price or (found and not up_to):
        raise WrongUse(f"'{text}' is not of the form EUROS, UP_TO=EUROS or {REST}=EUROS.")
    return {"up_to": None if up_to in ("", REST) else up_to, "unit_price": price}
