"""`rempart secrets`: values go in and never come back."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, say, show_list, show_one

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_secrets(output: OutputOption = Format.TABLE) -> None:
    """List secrets by name; values are never shown."""
    with connect() as client:
        show_list(client.secrets.list(), (("name", "name"), ("id", "id"), ("created", "created_at")), output)


@app.command()
def create(
    name: str,
    value: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Leave out to be asked unseen.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Store a secret."""
    with connect() as client:
        show_one(client.secrets.create({"name": name, "value": value}), output)


@app.command()
def delete(secret_id: str) -> None:
    """Delete a secret that no service uses."""
    with connect() as client:
        client.secrets.delete(secret_id)
    say("Deleted.")
