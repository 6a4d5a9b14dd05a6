"""`rempart admin keys`: keys of the operator's own people and of what reports usage."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.names import OperatorKeyArgument
from controlplane.cli.output import Format, OutputOption, show_done, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = (
    ("name", "name"),
    ("id", "id"),
    ("role", "role"),
    ("reports for", "source"),
    ("state", "state"),
    ("expires", "expires_at"),
    ("last used", "last_used_at"),
)
_ROLES = (
    "platform (all), platform_sre (sites), platform_billing (money), platform_auditor (reads) or producer."
)


@app.command("list")
def list_keys(output: OutputOption = Format.TABLE) -> None:
    """List the operator's keys; a key's text is shown only when it is made."""
    with connect() as client:
        show_list(client.operator_keys.list(), COLUMNS, output)


@app.command("get")
def get_key(key_id: OperatorKeyArgument, output: OutputOption = Format.TABLE) -> None:
    """Show one of the operator's keys, without its text."""
    with connect() as client:
        show_one(client.operator_keys.get(key_id), output)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who holds it, or what for.")],
    role: Annotated[str, typer.Option(help=_ROLES)],
    source: Annotated[
        str | None, typer.Option(help="Of a producer: /gateways/<name> or /cells/<name>, as its events say.")
    ] = None,
    expires_in_days: Annotated[int, typer.Option(min=1, max=365, help="How long it lives.")] = 90,
    output: OutputOption = Format.TABLE,
) -> None:
    """Make a key; its text is shown this once."""
    body = {"name": name, "role": role, "source": source, "expires_in_days": expires_in_days}
    with connect() as client:
        show_one(client.operator_keys.create(body), output)


@app.command("roll")
def roll_key(
    key_id: OperatorKeyArgument,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=168, help="How long the old key still works.")
    ] = 24,
    output: OutputOption = Format.TABLE,
) -> None:
    """Replace a key; the new text is shown this once."""
    with connect() as client:
        rolled = client.operator_keys.roll(key_id, overlap_hours)
    if output is Format.TABLE:
        show_one(rolled["api_key"], output)
    else:
        show_one(rolled, output, name="api_key.id")


@app.command("revoke")
def revoke_key(key_id: OperatorKeyArgument, output: OutputOption = Format.TABLE) -> None:
    """Make a key worthless at once."""
    with connect() as client:
        show_done(client.operator_keys.revoke(key_id), f"Revoked {key_id}.", output)
