"""`rempart admin datacenters`, `pools`, `nodes`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.errors import WrongUse
from controlplane.cli.output import Format, OutputOption, show_done, show_list, show_one

datacenters = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
pools = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
nodes = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SITE_COLUMNS = (
    ("code", "code"),
    ("country", "country"),
    ("kW", "power_kw"),
    ("PUE ‰", "pue_milli"),
    ("id", "id"),
)
POOL_COLUMNS = (
    ("name", "name"),
    ("datacenter", "datacenter"),
    ("type", "instance_type"),
    ("wanted", "replicas"),
    ("ready", "ready_nodes"),
    ("simulated", "is_simulated"),
    ("state", "state"),
)
NODE_COLUMNS = (
    ("name", "name"),
    ("pool", "pool"),
    ("phase", "phase"),
    ("simulated", "is_simulated"),
    ("accepted", "accepted_at"),
)
CodeArgument = Annotated[str, typer.Argument(help="Code of the datacenter, such as essonne-1.")]
PoolArgument = Annotated[str, typer.Argument(help="Name of the pool.")]
ReplicasArgument = Annotated[int, typer.Argument(min=0, max=2000, help="Machines wanted.")]
PueOption = Annotated[int | None, typer.Option(help="PUE in thousandths: 1200 is 1.20.")]
PowerOption = Annotated[int | None, typer.Option(help="Power of the site in kW.")]


@datacenters.command("list")
def list_datacenters(output: OutputOption = Format.TABLE) -> None:
    """List datacenters."""
    with connect() as client:
        show_list(client.datacenters.list(), SITE_COLUMNS, output, name="code")


@datacenters.command("get")
def get_datacenter(code: CodeArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a datacenter."""
    with connect() as client:
        show_one(client.datacenters.get(code), output, name="code")


@datacenters.command("add")
def add_datacenter(
    code: CodeArgument,
    name: Annotated[str, typer.Option(help="Name for people.")],
    country: Annotated[str, typer.Option(help="ISO 3166-1 alpha-2.")],
    operator: Annotated[str, typer.Option(help="Id of the legal entity that runs it.")],
    owner: Annotated[str, typer.Option(help="Id of the legal entity that owns it.")],
    power_kw: Annotated[int, typer.Option(help="Power of the site in kW.")],
    rack_kw_max: Annotated[int, typer.Option(help="Power of one rack in kW.")],
    pue_milli: Annotated[int, typer.Option(help="PUE in thousandths: 1200 is 1.20.")],
    cell: Annotated[list[str], typer.Option(help="Name of a Kubernetes cluster of it; repeat for several.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Register a datacenter and its cells."""
    body = {
        "code": code, "name": name, "country": country, "operator_entity_id": operator,
        "owner_entity_id": owner, "power_kw": power_kw, "rack_kw_max": rack_kw_max, "pue_milli": pue_milli,
        "cells": [{"name": each} for each in cell],
    }  # fmt: skip
    with connect() as client:
        show_one(client.datacenters.create(body), output, name="code")


@datacenters.command("update")
def update_datacenter(
    code: CodeArgument,
    pue_milli: PueOption = None,
    power_kw: PowerOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Change a datacenter's figures."""
    given = {"pue_milli": pue_milli, "power_kw": power_kw}
    body = {name: value for name, value in given.items() if value is not None}
    if not body:
        raise WrongUse("Say what changes: --pue-milli, --power-kw.")
    with connect() as client:
        show_one(client.datacenters.update(code, body), output, name="code")


@pools.command("list")
def list_pools(output: OutputOption = Format.TABLE) -> None:
    """List node pools."""
    with connect() as client:
        show_list(client.node_pools.list(), POOL_COLUMNS, output, name="name")


@pools.command("get")
def get_pool(pool: PoolArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a node pool."""
    with connect() as client:
        show_one(client.node_pools.get(pool), output, name="name")


@pools.command("add")
def add_pool(
    name: PoolArgument,
    datacenter: Annotated[str, typer.Option(help="Code of its datacenter.")],
    cell: Annotated[str, typer.Option(help="Name of its cell.")],
    provider: Annotated[str, typer.Option(help="kwok (simulated machines) or process.")],
    instance_type: Annotated[str, typer.Option(help="Size of its machines.")],
    cpu_milli: Annotated[int, typer.Option(help="CPU of one machine in thousandths of a core.")],
    memory_mib: Annotated[int, typer.Option(help="Memory of one machine in MiB.")],
    watts_per_node: Annotated[int, typer.Option(help="Draw of one machine at full load in watts.")],
    replicas: Annotated[int, typer.Option(min=0, max=2000, help="Machines wanted.")],
    gpu_sku: Annotated[str | None, typer.Option(help="Which GPUs each machine has.")] = None,
    gpus: Annotated[int, typer.Option(min=1, max=16, help="How many GPUs each machine has.")] = 8,
    output: OutputOption = Format.TABLE,
) -> None:
    """Want a pool of equal machines."""
    body = {
        "name": name, "datacenter": datacenter, "cell": cell, "provider": provider,
        "instance_type": instance_type, "cpu_milli": cpu_milli, "memory_mib": memory_mib,
        "watts_per_node": watts_per_node, "replicas": replicas,
        "accelerator": None if gpu_sku is None else {"sku": gpu_sku, "count": gpus},
    }  # fmt: skip
    with connect() as client:
        show_one(client.node_pools.create(body), output, name="name")


@pools.command("scale")
def scale_pool(pool: PoolArgument, replicas: ReplicasArgument, output: OutputOption = Format.TABLE) -> None:
    """Change how many machines a pool wants."""
    with connect() as client:
        show_one(client.node_pools.scale(pool, replicas), output, name="name")


@pools.command("delete")
def delete_pool(pool: PoolArgument, output: OutputOption = Format.TABLE) -> None:
    """Give a pool's machines back."""
    with connect() as client:
        client.node_pools.delete(pool)
    show_done({"name": pool, "is_deleted": True}, f"Deleted {pool}.", output, name="name")


@nodes.command("list")
def list_nodes(
    pool: Annotated[str | None, typer.Option(help="Only those of this pool.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List machines with their phase and the date of their acceptance check."""
    with connect() as client:
        show_list(client.nodes.list(pool=pool), NODE_COLUMNS, output, name="name")
