"""`rempart secrets`: values go in and never come back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.errors import WrongUse
from controlplane.cli.find import find_secret, project_or_none
from controlplane.cli.names import ProjectOption, SecretArgument, WithinOption
from controlplane.cli.output import Format, OutputOption, YesOption, ask_first, show_done, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = (
    ("name", "name"),
    ("id", "id"),
    ("project", "project_id"),
    ("version", "version"),
    ("changed", "updated_at"),
)
ValueOption = Annotated[
    str | None,
    typer.Option(help="The value; better left out: it is asked for unseen, or read from standard input."),
]


@app.command("list")
def list_secrets(project: WithinOption = None, output: OutputOption = Format.TABLE) -> None:
    """List secrets by name; values are never shown."""
    with connect() as client:
        show_list(client.secrets.list(project_id=project_or_none(client, project)), COLUMNS, output)


@app.command()
def get(secret: SecretArgument, project: WithinOption = None, output: OutputOption = Format.TABLE) -> None:
    """Show a secret, without its value."""
    with connect() as client:
        show_one(client.secrets.get(find_secret(client, secret, project)), output)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and dashes.")],
    value: ValueOption = None,
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Store a secret."""
    with connect() as client:
        body = {"name": name, "value": _read_value(value), "project_id": project_or_none(client, project)}
        show_one(client.secrets.create(body), output)


@app.command()
def update(
    secret: SecretArgument,
    value: ValueOption = None,
    project: WithinOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give a secret a new value; what runs keeps the old one until it is deployed again."""
    with connect() as client:
        show_one(
            client.secrets.update(find_secret(client, secret, project), {"value": _read_value(value)}), output
        )


@app.command()
def delete(
    secret: SecretArgument,
    project: WithinOption = None,
    yes: YesOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Delete a secret that no service uses."""
    ask_first(f"Delete {secret}.", yes)
    with connect() as client:
        secret_id = find_secret(client, secret, project)
        client.secrets.delete(secret_id)
    show_done({"id": secret_id, "is_deleted": True}, f"Deleted {secret_id}.", output)


def _read_value(given: str | None) -> str:
    if given is not None:
        return given
    if sys.stdin.isatty():
        return str(typer.prompt("Value", hide_input=True, err=True))
    value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise WrongUse("A secret needs a value: give it on standard input.")
    return value
