"""`rempart audit` and `rempart admin audit`: the same questions to two chains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, show_done, show_list, show_one
from controlplane.sdk import Rempart
from controlplane.sdk.resources import AuditEvents

COLUMNS = (
    ("no", "sequence"),
    ("when", "occurred_at"),
    ("actor", "actor"),
    ("action", "action"),
    ("target", "target"),
    ("from", "origin.address"),
)


def make_app(chain_of: Callable[[Rempart], AuditEvents]) -> typer.Typer:
    """Build the commands for one chain."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

    @app.command("list")
    def list_events(
        actor: Annotated[str | None, typer.Option(help="Only what this key did.")] = None,
        action: Annotated[str | None, typer.Option(help="Only this action, such as app.created.")] = None,
        target: Annotated[str | None, typer.Option(help="Only what was done to this id.")] = None,
        output: OutputOption = Format.TABLE,
    ) -> None:
        """List what was done, newest first."""
        with connect() as client:
            rows = chain_of(client).list(actor=actor, action=action, target=target)
            show_list(rows, COLUMNS, output, name="sequence")

    @app.command()
    def export(
        path: Annotated[Path, typer.Argument(dir_okay=False, help="File to write, JSON lines.")],
        output: OutputOption = Format.TABLE,
    ) -> None:
        """Write the whole chain to a file that can be verified offline."""
        with connect() as client:
            content = chain_of(client).export()
        path.write_bytes(content)
        # The last line names the head of the chain.
        count = max(content.count(b"\n") - 1, 0)
        check = f"python -m controlplane.audit.verify_export {path}"
        sentence = f"{count} records written to {path}; check them with '{check}'."
        show_done({"file": str(path), "records": count}, sentence, output, name="file")

    @app.command()
    def verify(output: OutputOption = Format.TABLE) -> None:
        """Let the server check its chain; exit code 1 if it is broken."""
        with connect() as client:
            result = chain_of(client).verify()
        show_one(result, output, name="is_intact")
        if not result["is_intact"]:
            raise typer.Exit(1)

    return app
