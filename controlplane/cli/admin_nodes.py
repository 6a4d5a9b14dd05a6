"""`rempart admin nodes`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.completion import NODES, POOLS, offer
from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, show_list, show_one

nodes = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

NODE_COLUMNS = (
    ("name", "name"),
    ("pool", "pool"),
    ("phase", "phase"),
    ("ready", "is_ready"),
    ("asked", "order"),
    ("reason", "reason"),
    ("gpus", "gpus"),
    ("simulated", "is_simulated"),
    ("accepted", "accepted_at"),
)
NodeArgument = Annotated[
    str, typer.Argument(help="Name of the machine, such as essonne-b300-2.", autocompletion=offer(NODES))
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Also from under what deployments hold; what runs there waits for room."),
]


@nodes.command("list")
def list_nodes(
    pool: Annotated[
        str | None, typer.Option(help="Only those of this pool.", autocompletion=offer(POOLS))
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List machines with their phase and the date of their acceptance check."""
    with connect() as client:
        show_list(client.nodes.list(pool=pool), NODE_COLUMNS, output, name="name")


@nodes.command("get")
def get_node(node: NodeArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a machine: how it stands and why, what was asked for it, how far its drain is."""
    with connect() as client:
        show_one(client.nodes.get(node), output, name="name")


@nodes.command("cordon")
def cordon_node(node: NodeArgument, output: OutputOption = Format.TABLE) -> None:
    """Keep new work off a machine; what runs there stays."""
    with connect() as client:
        show_one(client.nodes.cordon(node), output, name="name")


@nodes.command("uncordon")
def uncordon_node(node: NodeArgument, output: OutputOption = Format.TABLE) -> None:
    """Let a machine take work again; this ends a drain, too."""
    with connect() as client:
        show_one(client.nodes.uncordon(node), output, name="name")


@nodes.command("drain")
def drain_node(node: NodeArgument, force: ForceOption = False, output: OutputOption = Format.TABLE) -> None:
    """Keep new work off a machine and ask what runs there to leave, within its pool's drain time."""
    with connect() as client:
        show_one(client.nodes.drain(node, is_forced=force), output, name="name")


@nodes.command("replace")
def replace_node(node: NodeArgument, force: ForceOption = False, output: OutputOption = Format.TABLE) -> None:
    """Drain a machine, give it back and ask for another in its place."""
    with connect() as client:
        show_one(client.nodes.replace(node, is_forced=force), output, name="name")
