"""`rempart audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, say, show_list, show_one

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_events(output: OutputOption = Format.TABLE) -> None:
    """List what was done, in order."""
    with connect() as client:
        page = client.request("GET", "/v1/audit_events").json()
    columns = (
        ("no", "sequence"),
        ("when", "occurred_at"),
        ("actor", "actor"),
        ("action", "action"),
        ("target", "target"),
    )
    show_list(page["audit_events"], columns, output)


@app.command()
def export(path: Annotated[Path, typer.Argument(help="File to write, JSON lines.")]) -> None:
    """Write the whole chain to a file that verifies offline."""
    with connect() as client:
        path.write_bytes(client.request("GET", "/v1/audit_events/export").content)
    say(f"Written to {path}; check it with 'python -m controlplane.audit.verify_export {path}'.")


@app.command()
def verify(output: OutputOption = Format.TABLE) -> None:
    """Let the server check its chain; exit code 1 if it is broken."""
    with connect() as client:
        result = client.request("GET", "/v1/audit_events/verification").json()
    show_one(result, output)
    if not result.get("is_intact", False):
        raise typer.Exit(1)
