"""`rempart organization`, `rempart quotas`: who is billed, and what may be made."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from controlplane.cli.config import connect
from controlplane.cli.errors import WrongUse
from controlplane.cli.output import Format, OutputOption, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
QUOTA_COLUMNS = (("name", "name"), ("limit", "limit"), ("default", "is_default"))
CountryOption = Annotated[
    str | None, typer.Option(help="Where it is registered: two letters (ISO 3166-1), such as FR.")
]


@app.command()
def get(output: OutputOption = Format.TABLE) -> None:
    """Show your organization and its billing party."""
    with connect() as client:
        show_one(client.organization(), output)


@app.command()
def update(
    legal_name: Annotated[str | None, typer.Option(help="Registered name of the company.")] = None,
    street: Annotated[str | None, typer.Option(help="Street and number of its address.")] = None,
    postal_code: Annotated[str | None, typer.Option(help="Postal code of its address.")] = None,
    city: Annotated[str | None, typer.Option(help="Town of its address.")] = None,
    country: CountryOption = None,
    siren: Annotated[str | None, typer.Option(help="SIREN.")] = None,
    vat_id: Annotated[str | None, typer.Option(help="VAT number.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Change who is billed; what is not named stays."""
    facts: dict[str, Any] = {
        "legal_name": legal_name, "country": read_country(country), "siren": siren, "vat_id": vat_id,
    }  # fmt: skip
    address = {"line1": street, "postal_code": postal_code, "city": city, "country": facts["country"]}
    body = {name: value for name, value in facts.items() if value is not None}
    with connect() as client:
        if any(value is not None for value in address.values()):
            named = {name: value for name, value in address.items() if value is not None}
            body["address"] = {**client.organization()["address"], **named}
        if not body:
            raise WrongUse("Name what to change, such as --legal-name.")
        show_one(client.update_organization(body), output)


def quotas(output: OutputOption = Format.TABLE) -> None:
    """List your organization's limits."""
    with connect() as client:
        show_list(client.quotas(), QUOTA_COLUMNS, output, name="name")


def read_country(text: str | None) -> str | None:
    """A country's two letters. Errors: WrongUse says how a country is written."""
    if text is None:
        return None
    code = text.strip().upper()
    if not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise WrongUse(f"'{text}' is no country: give it by its two letters (ISO 3166-1), such as FR.")
    return code
