"""`rempart keys`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.completion import PROJECTS, offer
from controlplane.cli.config import connect
from controlplane.cli.find import project_or_none
from controlplane.cli.names import KeyArgument
from controlplane.cli.output import Format, OutputOption, YesOption, ask_first, show_done, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = (
    ("name", "name"),
    ("id", "id"),
    ("role", "role"),
    ("state", "state"),
    ("expires", "expires_at"),
    ("last used", "last_used_at"),
)


@app.command("list")
def list_keys(output: OutputOption = Format.TABLE) -> None:
    """List keys; a key's text is shown only when it is made."""
    with connect() as client:
        show_list(client.api_keys.list(), COLUMNS, output)


@app.command()
def get(key_id: KeyArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a key, without its text."""
    with connect() as client:
        show_one(client.api_keys.get(key_id), output)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[
        str, typer.Option(help="owner, admin, developer, billing, auditor or viewer; not more than yours.")
    ] = "developer",
    kind: Annotated[str, typer.Option(help="svc for a program, pat for a person.")] = "svc",
    project: Annotated[
        str | None, typer.Option(help="Bind it to a project, by id or name.", autocompletion=offer(PROJECTS))
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="manage or inference; repeat for both; all if left out.")
    ] = None,
    expires_in_days: Annotated[int, typer.Option(min=1, max=365, help="How long it lives.")] = 90,
    output: OutputOption = Format.TABLE,
) -> None:
    """Make a key; its text is shown this once."""
    with connect() as client:
        body = {
            "name": name,
            "role": role,
            "kind": kind,
            "project_id": project_or_none(client, project),
            "scopes": scope or None,
            "expires_in_days": expires_in_days,
        }
        show_one(client.api_keys.create(body), output)


@app.command()
def roll(
    key_id: KeyArgument,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=168, help="How long the old key still works.")
    ] = 24,
    output: OutputOption = Format.TABLE,
) -> None:
    """Replace a key; the new text is shown this once."""
    with connect() as client:
        rolled = client.api_keys.roll(key_id, overlap_hours)
    if output is Format.TABLE:
        show_one(rolled["api_key"], output)
    else:
        show_one(rolled, output, name="api_key.id")


@app.command()
def revoke(key_id: KeyArgument, yes: YesOption = False, output: OutputOption = Format.TABLE) -> None:
    """Make a key worthless at once."""
    ask_first(f"Revoke {key_id}.", yes)
    with connect() as client:
        show_done(client.api_keys.revoke(key_id), f"Revoked {key_id}.", output)
