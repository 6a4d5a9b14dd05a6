"""`rempart admin`: the platform operator's nouns."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
POOL_COLUMNS = (
    ("name", "name"), ("datacenter", "datacenter"), ("type", "instance_type"), ("wanted", "replicas"),
    ("ready", "ready_nodes"), ("simulated", "is_simulated"), ("state", "state"),
)  # fmt: skip


@app.command()
def datacenters(output: OutputOption = Format.TABLE) -> None:
    """List datacenters."""
    with connect() as client:
        columns = (
            ("code", "code"),
            ("country", "country"),
            ("kW", "power_kw"),
            ("PUE ‰", "pue_milli"),
            ("id", "id"),
        )
        show_list(client.datacenters.list(), columns, output)


@app.command()
def pools(output: OutputOption = Format.TABLE) -> None:
    """List node pools."""
    with connect() as client:
        show_list(client.node_pools.list(), POOL_COLUMNS, output)


@app.command()
def scale(
    name: str, replicas: Annotated[int, typer.Argument(min=0, max=2000)], output: OutputOption = Format.TABLE
) -> None:
    """Change how many machines a pool wants."""
    with connect() as client:
        show_one(client.node_pools.update(name, {"replicas": replicas}), output)


@app.command()
def nodes(
    pool: Annotated[str | None, typer.Option(help="Only those of this pool.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List machines with their phase and the date of their acceptance check."""
    with connect() as client:
        columns = (
            ("name", "name"),
            ("pool", "pool"),
            ("phase", "phase"),
            ("simulated", "is_simulated"),
            ("accepted", "accepted_at"),
        )
        show_list(client.nodes.list(pool=pool), columns, output)


@app.command()
def organizations(output: OutputOption = Format.TABLE) -> None:
    """List tenants."""
    with connect() as client:
        show_list(client.organizations.list(), (("name", "name"), ("id", "id"), ("status", "status")), output)
