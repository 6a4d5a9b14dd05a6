"""`rempart context`: several installations or organizations, each with its address and key under a name."""

from __future__ import annotations

import typer

from controlplane.cli.config import chosen_name, read_profiles, use_profile
from controlplane.cli.names import ContextArgument
from controlplane.cli.output import Format, OutputOption, show_done, show_list

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_contexts(output: OutputOption = Format.TABLE) -> None:
    """List what `rempart login` stored: names and addresses, never keys."""
    current = chosen_name()
    rows = [
        {"name": name, "api": profile.base_url, "is_current": name == current}
        for name, profile in sorted(read_profiles().items())
    ]
    show_list(rows, (("name", "name"), ("address", "api"), ("current", "is_current")), output, name="name")


@app.command()
def use(
    name: ContextArgument,
    output: OutputOption = Format.TABLE,
) -> None:
    """Use a context from now on; --profile or REMPART_PROFILE choose one for a single command."""
    use_profile(name)
    show_done({"name": name, "is_current": True}, f"Commands now use {name}.", output, name="name")
