"""`rempart usage`, `rempart costs`, `rempart budgets`: what was used, what it costs, and where that ends."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from controlplane.cli.completion import PROJECTS, offer
from controlplane.cli.config import connect
from controlplane.cli.errors import NothingCalled, WrongUse
from controlplane.cli.find import project_or_none
from controlplane.cli.output import Format, OutputOption, show_list, show_one

costs = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
budgets = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

USAGE_COLUMNS = (
    ("from", "start"),
    ("meter", "meter"),
    ("quantity", "quantity"),
    ("unit", "unit"),
    ("simulated", "is_simulated"),
    ("project", "project_id"),
    ("service", "service_id"),
    ("by", "dimensions"),
)
COST_COLUMNS = (
    ("sku", "sku"),
    ("what", "description_en"),
    ("quantity", "quantity"),
    ("unit", "unit"),
    ("price", "unit_price"),
    ("for", "price_base_quantity"),
    ("net", "net"),
)
CREDIT_COLUMNS = (
    ("what", "label"),
    ("kind", "kind"),
    ("amount", "amount"),
    ("left", "left"),
    ("until", "expires_at"),
    ("id", "id"),
)
BUDGET_COLUMNS = (
    ("project", "project_id"),
    ("amount", "amount"),
    ("currency", "currency"),
    ("hard", "is_hard"),
)
GROUPS = "sku, project or service"
GroupOption = Annotated[str | None, typer.Option(help=f"What `groups` sums by: {GROUPS}; else sku.")]
ProjectOption = Annotated[
    str | None,
    typer.Option(help="Project by id or name; else the whole organization.", autocompletion=offer(PROJECTS)),
]


def usage(
    since: Annotated[
        str | None, typer.Option("--from", help="First instant (RFC 3339), a whole hour; else this month's.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="First instant after it; else the end of this month.")
    ] = None,
    granularity: Annotated[str | None, typer.Option(help="total, hour, day or month.")] = None,
    group_by: Annotated[
        list[str] | None, typer.Option(help="project, service, model, country…; repeat for several.")
    ] = None,
    project: ProjectOption = None,
    service: Annotated[str | None, typer.Option(help="Only the service of this id.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter, such as output_tokens.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Sum what was used, by meter and what else is asked for."""
    with connect() as client:
        rows = client.usages.list(
            since=since,
            until=until,
            granularity=granularity,
            group_by=group_by or None,
            project_id=project_or_none(client, project),
            service_id=service,
            meter=meter,
        )
        show_list(rows, USAGE_COLUMNS, output, name="quantity")


@costs.command("show")
def show_costs(group_by: GroupOption = None, output: OutputOption = Format.TABLE) -> None:
    """Show what the running month costs so far, line by line, before VAT."""
    with connect() as client:
        _show_cost(client.costs.get(group_by=group_by), output)


@costs.command("preview")
def preview_costs(
    plan: Annotated[str | None, typer.Option(help="Another plan, by its code; else the present one.")] = None,
    usage: Annotated[
        list[str] | None,
        typer.Option(help="Other usage, METER=QUANTITY; repeat for several. Else what was used so far."),
    ] = None,
    dimension: Annotated[
        list[str] | None,
        typer.Option(help="What the other usage is of, NAME=VALUE such as model=…; repeat for several."),
    ] = None,
    group_by: GroupOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what the running month would cost by another plan or with other usage; changes nothing."""
    dimensions = dict(split_pair(text) for text in dimension or ())
    wished = [
        {"meter": meter, "quantity": quantity, "dimensions": dimensions}
        for meter, quantity in map(split_pair, usage or ())
    ]
    with connect() as client:
        _show_cost(client.costs.preview({"plan": plan, "usage": wished or None}, group_by=group_by), output)


@costs.command("credits")
def list_credits(output: OutputOption = Format.TABLE) -> None:
    """List your credits and what is left of each."""
    with connect() as client:
        show_list(client.costs.credits(), CREDIT_COLUMNS, output)


@costs.command("plan")
def get_plan(output: OutputOption = Format.TABLE) -> None:
    """Show your plan."""
    with connect() as client:
        show_one(client.costs.plan(), output, name="plan.code")


@budgets.command("get")
def get_budgets(
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the monthly budget of the organization, or of one project."""
    with connect() as client:
        wanted = project_or_none(client, project)
        found = next((each for each in client.budgets.list() if each["project_id"] == wanted), None)
    if found is None:
        raise NothingCalled("No budget is set: 'rempart budgets set' sets one.")
    show_one(found, output, name="amount")


@budgets.command("list")
def list_budgets(output: OutputOption = Format.TABLE) -> None:
    """List all monthly budgets."""
    with connect() as client:
        show_list(client.budgets.list(), BUDGET_COLUMNS, output, name="amount")


@budgets.command("set")
def set_budget(
    amount: Annotated[str, typer.Argument(help="Euros a month before VAT, such as 250 or 99.50.")],
    project: ProjectOption = None,
    soft: Annotated[
        bool, typer.Option("--soft", help="Only tell; do not refuse calls once it is reached.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Set the monthly budget of the organization, or of one project."""
    euros = read_amount(amount)
    with connect() as client:
        body = {
            "project_id": project_or_none(client, project),
            "amount": euros,
            "is_hard": not soft,
        }
        show_one(client.budgets.set(body), output, name="amount")


def read_amount(text: str) -> str:
    """Euros as a person writes them, as the API takes them; WrongUse for what is no amount of whole cents."""
    try:
        euros = Decimal(text.replace(",", "."))
    except InvalidOperation:
        euros = Decimal("NaN")
    if not euros.is_finite() or euros <= 0 or euros != round(euros, 2):
        raise WrongUse(f"'{text}' is no amount in euros: write it as 250 or 99.50.")
    return f"{euros:.2f}"


def split_pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (name and found and value):
        raise WrongUse(f"'{text}' is not of the form NAME=VALUE.")
    return name, value


def _show_cost(cost: dict[str, Any], output: Format) -> None:
    """For people the lines and then the sums; for programs the document."""
    if output is not Format.TABLE:
        show_one(cost, output, name="due")
        return
    show_list(cost["lines"], COST_COLUMNS, output)
    sums = ("plan", "currency", "net", "credit", "due", "problems", "as_of")
    show_one({name: cost[name] for name in sums}, output)
