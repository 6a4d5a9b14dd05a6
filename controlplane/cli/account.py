"""`rempart login`, `logout`, `whoami`, `terms`, `signup`, `secrets-check`: who I am, and what a key's text says."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from controlplane.cli.config import Profile, connect, forget_profile, load_profile, save_profile
from controlplane.cli.errors import WrongUse
from controlplane.cli.organization import read_country
from controlplane.cli.output import Format, OutputOption, show_done, show_one
from controlplane.sdk import Rempart
from controlplane.sdk.client import DEFAULT_URL
from controlplane.sdk.key_shape import read_key

UrlOption = Annotated[str, typer.Option("--url", envvar="REMPART_API_URL", help="Address of the REST door.")]


def login(url: UrlOption = DEFAULT_URL, output: OutputOption = Format.TABLE) -> None:
    """Check a key and remember it for this user. The key is asked for unseen, or read from standard input."""
    key = _read_secret("API key")
    if read_key(key) is None:
        raise WrongUse(
            "This is not a whole Rempart key: it starts with rmp_ and its last letters are a checksum."
        )
    with Rempart(key, url) as client:
        caller = client.caller()
    path = save_profile(Profile(url, key))
    show_done(
        {"api": url, "file": str(path), **caller},
        f"Logged in to {url} as {caller['role']}; the key is stored in {path}, for you alone.",
        output,
        name="key_id",
    )


def logout(output: OutputOption = Format.TABLE) -> None:
    """Forget the stored key. The key itself stays valid: 'rempart keys revoke' ends it."""
    is_removed = forget_profile()
    sentence = "The stored key is gone." if is_removed else "There was no stored key."
    show_done({"is_removed": is_removed}, sentence, output, name="is_removed")


def whoami(output: OutputOption = Format.TABLE) -> None:
    """Show which key is used, what it may do, and whose it is."""
    with connect() as client:
        caller = client.caller()
        organization = client.organization() if caller["organization_id"] else None
    named = None if organization is None else organization["name"]
    show_one({"api": load_profile().base_url, "organization": named, **caller}, output, name="key_id")


def signup(
    name: Annotated[str, typer.Argument(help="Short name of the organization.")],
    legal_name: Annotated[str, typer.Option(help="Registered name of the company.")],
    street: Annotated[str, typer.Option(help="Street and number of its address.")],
    postal_code: Annotated[str, typer.Option(help="Postal code of its address.")],
    city: Annotated[str, typer.Option(help="Town of its address.")],
    country: Annotated[str, typer.Option(help="Where it is registered, ISO 3166-1 alpha-2.")] = "FR",
    siren: Annotated[str | None, typer.Option(help="SIREN; required in France.")] = None,
    vat_id: Annotated[str | None, typer.Option(help="VAT number; required outside France.")] = None,
    project: Annotated[str, typer.Option(help="Name of the first project.")] = "default",
    accept_terms: Annotated[
        str | None,
        typer.Option(help="Version of the terms of service that you accept; 'rempart terms' names it."),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    output: OutputOption = Format.TABLE,
) -> None:
    """Become a customer. The answer holds the owner's key, shown this once; PENDING: it waits for approval."""
    body = signup_body(
        name, legal_name, street, postal_code, city, country, siren=siren, vat_id=vat_id, project=project
    )
    with Rempart("", url) as client:
        made = client.sign_up({**body, "accepted_terms": accept_terms})
    if output is Format.TABLE:
        show_one(short_signup(made), output)
    else:
        show_one(made, output, name="organization.id")


def terms(url: UrlOption = DEFAULT_URL, output: OutputOption = Format.TABLE) -> None:
    """Show which terms of service a new customer accepts, and where they are read."""
    with Rempart("", url) as client:
        show_one(client.terms(), output, name="version")


def secrets_check(
    key: Annotated[str, typer.Argument(help="The text to look at; '-' or nothing reads it unseen.")] = "-",
    output: OutputOption = Format.TABLE,
) -> None:
    """Tell offline whether a text can be a Rempart key; exit code 1 if not. Asks no server, prints no key."""
    shape = read_key(_read_secret("Key") if key == "-" else key)
    found: dict[str, Any] = {
        "is_well_formed": shape is not None,
        "kind": None if shape is None else shape.kind,
        "environment": None if shape is None else shape.environment,
        "last_four": None if shape is None else shape.last_four,
    }
    if shape is None:
        sentence = "This cannot be a Rempart key."
    else:
        sentence = (
            f"This can be a Rempart key: kind {shape.kind}, {shape.environment}, ends in {shape.last_four}."
        )
    show_done(found, sentence, output, name="is_well_formed")
    if shape is None:
        raise typer.Exit(1)


def _read_secret(prompt: str) -> str:
    """From a terminal unseen, else the first line of standard input; never from an argument."""
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def signup_body(
    name: str, legal_name: str, street: str, postal_code: str, city: str, country: str, *, siren: str | None,
    vat_id: str | None, project: str,
) -> dict[str, Any]:  # fmt: skip
    """An organization and its first project, as sign-up and the operator's door take them."""
    code = read_country(country)
    return {
        "organization": {
            "name": name,
            "legal_name": legal_name,
            "country": code,
            "siren": siren,
            "vat_id": vat_id,
            "address": {"line1": street, "postal_code": postal_code, "city": city, "country": code},
        },
        "project": {"name": project},
    }


def short_signup(made: dict[str, Any]) -> dict[str, Any]:
    return {
        "organization": made["organization"]["id"],
        "status": made["organization"]["status"],
        "project": made["project"]["id"],
        "key": made["api_key"]["id"],
        "secret": made["api_key"]["secret"],
    }
