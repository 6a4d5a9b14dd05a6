"""`rempart keys`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, say, show_list, show_one

app = typer.Typer(no_args_is_help=True)
COLUMNS = (
    ("name", "name"),
    ("id", "id"),
    ("role", "role"),
    ("expires", "expires_at"),
    ("last used", "last_used_at"),
)


@app.command("list")
def list_keys(output: OutputOption = Format.TABLE) -> None:
    """List keys; a key itself is shown only when it is made."""
    with connect() as client:
        show_list(client.api_keys.list(), COLUMNS, output)


@app.command()
def create(
    name: str,
    role: Annotated[
        str, typer.Option(help="owner, admin, developer, billing, auditor or viewer.")
    ] = "developer",
    expires_in_days: Annotated[int, typer.Option(min=1, max=365)] = 90,
    output: OutputOption = Format.TABLE,
) -> None:
    """Make a key; its text is shown this once."""
    with connect() as client:
        body = {"name": name, "role": role, "expires_in_days": expires_in_days}
        show_one(client.api_keys.create(body), output)


@app.command()
def revoke(key_id: str) -> None:
    """Make a key worthless at once."""
    with connect() as client:
        client.api_keys.act(key_id, "revoke")
    say("Revoked.")
