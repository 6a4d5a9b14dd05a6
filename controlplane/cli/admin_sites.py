"""`rempart admin datacenters`, `pools`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.completion import DATACENTERS, ENTITIES, offer
from controlplane.cli.config import connect
from controlplane.cli.errors import WrongUse
from controlplane.cli.names import DatacenterArgument, PoolArgument
from controlplane.cli.output import Format, OutputOption, show_done, show_list, show_one

datacenters = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
pools = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SITE_COLUMNS = (
    ("code", "code"),
    ("country", "country"),
    ("kW", "power_kw"),
    ("racks", "rack_count"),
    ("PUE ‰", "pue_milli"),
    ("closed", "closed_at"),
    ("id", "id"),
)
POOL_COLUMNS = (
    ("name", "name"),
    ("datacenter", "datacenter"),
    ("type", "instance_type"),
    ("wanted", "replicas"),
    ("ready", "ready_nodes"),
    ("simulated", "is_simulated"),
    ("paused", "paused"),
    ("state", "state"),
    ("message", "message"),
)
ReplicasArgument = Annotated[int, typer.Argument(min=0, max=2000, help="Machines wanted.")]
PueOption = Annotated[int | None, typer.Option(help="PUE in thousandths: 1200 is 1.20.")]
RackKwOption = Annotated[int | None, typer.Option(help="Power of one rack in kW.")]
RackCountOption = Annotated[int | None, typer.Option(help="How many racks it has.")]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(help="Label of its machines, key=value; repeat for several. One empty text takes all away."),
]
TaintOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Taint of its machines, key=value:effect; repeat for several. One empty text takes all away."
    ),
]
PowerOption = Annotated[int | None, typer.Option(help="Power of the site in kW.")]


@datacenters.command("list")
def list_datacenters(output: OutputOption = Format.TABLE) -> None:
    """List datacenters."""
    with connect() as client:
        show_list(client.datacenters.list(), SITE_COLUMNS, output, name="code")


@datacenters.command("get")
def get_datacenter(code: DatacenterArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a datacenter."""
    with connect() as client:
        show_one(client.datacenters.get(code), output, name="code")


@datacenters.command("add")
def add_datacenter(
    code: Annotated[str, typer.Argument(help="Code of the datacenter, such as essonne-1.")],
    name: Annotated[str, typer.Option(help="Name for people.")],
    country: Annotated[str, typer.Option(help="ISO 3166-1 alpha-2.")],
    operator: Annotated[
        str, typer.Option(help="Id of the legal entity that runs it.", autocompletion=offer(ENTITIES))
    ],
    owner: Annotated[
        str, typer.Option(help="Id of the legal entity that owns it.", autocompletion=offer(ENTITIES))
    ],
    power_kw: Annotated[int, typer.Option(help="Power of the site in kW.")],
    rack_kw_max: Annotated[int, typer.Option(help="Power of one rack in kW.")],
    pue_milli: Annotated[int, typer.Option(help="PUE in thousandths: 1200 is 1.20.")],
    cell: Annotated[list[str], typer.Option(help="Name of a Kubernetes cluster of it; repeat for several.")],
    rack_count: RackCountOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Register a datacenter and its cells."""
    body = {
        "code": code, "name": name, "country": country, "operator_entity_id": operator,
        "owner_entity_id": owner, "power_kw": power_kw, "rack_kw_max": rack_kw_max, "pue_milli": pue_milli,
        "cells": [{"name": each} for each in cell], "rack_count": rack_count,
    }  # fmt: skip
    with connect() as client:
        show_one(client.datacenters.create(body), output, name="code")


@datacenters.command("update")
def update_datacenter(
    code: DatacenterArgument,
    pue_milli: PueOption = None,
    power_kw: PowerOption = None,
    rack_kw_max: RackKwOption = None,
    rack_count: RackCountOption = None,
    operator: Annotated[
        str | None, typer.Option(help="Id of the legal entity that runs it.", autocompletion=offer(ENTITIES))
    ] = None,
    owner: Annotated[
        str | None, typer.Option(help="Id of the legal entity that owns it.", autocompletion=offer(ENTITIES))
    ] = None,
    effective_from: Annotated[
        str | None, typer.Option(help="When operator or owner change, RFC 3339; left out: now.")
    ] = None,
    evidence: Annotated[str | None, typer.Option(help="What proves the change of operator or owner.")] = None,
    cell: Annotated[
        list[str] | None, typer.Option(help="Name of one more Kubernetes cluster; repeat for several.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Record what changed at a datacenter: figures, operator, owner, cells."""
    given = {
        "pue_milli": pue_milli, "power_kw": power_kw, "rack_kw_max": rack_kw_max, "rack_count": rack_count,
        "operator_entity_id": operator, "owner_entity_id": owner, "effective_from": effective_from,
        "evidence": evidence, "cells": [{"name": each} for each in cell] if cell else None,
    }  # fmt: skip
    body = {name: value for name, value in given.items() if value is not None}
    if not body:
        raise WrongUse(
            "Say what changes: --power-kw, --pue-milli, --operator, --owner, --cell or another option."
        )
    with connect() as client:
        show_one(client.datacenters.update(code, body), output, name="code")


@datacenters.command("close")
def close_datacenter(code: DatacenterArgument, output: OutputOption = Format.TABLE) -> None:
    """Close a datacenter for good; its node pools must be gone."""
    with connect() as client:
        show_one(client.datacenters.close(code), output, name="code")


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
    name: Annotated[str, typer.Argument(help="Name of the pool.")],
    datacenter: Annotated[
        str, typer.Option(help="Code of its datacenter.", autocompletion=offer(DATACENTERS))
    ],
    cell: Annotated[str, typer.Option(help="Name of its cell.")],
    provider: Annotated[str, typer.Option(help="kwok (simulated machines) or process.")],
    instance_type: Annotated[str, typer.Option(help="Size of its machines.")],
    cpu_milli: Annotated[int, typer.Option(help="CPU of one machine in thousandths of a core.")],
    memory_mib: Annotated[int, typer.Option(help="Memory of one machine in MiB.")],
    watts_per_node: Annotated[int, typer.Option(help="Draw of one machine at full load in watts.")],
    replicas: Annotated[int, typer.Option(min=0, max=2000, help="Machines wanted.")],
    gpu_sku: Annotated[str | None, typer.Option(help="Which GPUs each machine has.")] = None,
    gpus: Annotated[int, typer.Option(min=1, max=16, help="How many GPUs each machine has.")] = 8,
    label: LabelOption = None,
    taint: TaintOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Want a pool of equal machines."""
    body = {
        "name": name, "datacenter": datacenter, "cell": cell, "provider": provider,
        "instance_type": instance_type, "cpu_milli": cpu_milli, "memory_mib": memory_mib,
        "watts_per_node": watts_per_node, "replicas": replicas,
        "accelerator": None if gpu_sku is None else {"sku": gpu_sku, "count": gpus},
        "node_labels": read_labels(label or []), "node_taints": read_taints(taint or []),
    }  # fmt: skip
    with connect() as client:
        show_one(client.node_pools.create(body), output, name="name")


@pools.command("scale")
def scale_pool(pool: PoolArgument, replicas: ReplicasArgument, output: OutputOption = Format.TABLE) -> None:
    """Change how many machines a pool wants."""
    with connect() as client:
        show_one(client.node_pools.scale(pool, replicas), output, name="name")


@pools.command("update")
def update_pool(
    pool: PoolArgument,
    label: LabelOption = None,
    taint: TaintOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Change the labels or taints of a pool's machines; those given replace all that were there."""
    body: dict[str, object] = {}
    if label is not None:
        body["node_labels"] = read_labels(label)
    if taint is not None:
        body["node_taints"] = read_taints(taint)
    if not body:
        raise WrongUse("Say what changes: --label, --taint.")
    with connect() as client:
        show_one(client.node_pools.update(pool, body), output, name="name")


@pools.command("pause")
def pause_pool(pool: PoolArgument, output: OutputOption = Format.TABLE) -> None:
    """Start and give back no machine of a pool, and place nothing new on it."""
    with connect() as client:
        show_one(client.node_pools.pause(pool), output, name="name")


@pools.command("resume")
def resume_pool(pool: PoolArgument, output: OutputOption = Format.TABLE) -> None:
    """Let a paused pool go on."""
    with connect() as client:
        show_one(client.node_pools.resume(pool), output, name="name")


@pools.command("delete")
def delete_pool(pool: PoolArgument, output: OutputOption = Format.TABLE) -> None:
    """Give a pool's machines back."""
    with connect() as client:
        client.node_pools.delete(pool)
    show_done({"name": pool, "is_deleted": True}, f"Deleted {pool}.", output, name="name")


def read_labels(texts: list[str]) -> dict[str, str]:
    """Read key=value texts. Errors: WrongUse."""
    found = {}
    for text in filter(None, texts):
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise WrongUse(f"'{text}' is not key=value.")
        found[key] = value
    return found


def read_taints(texts: list[str]) -> list[dict[str, str]]:
    """Read key=value:effect or key:effect texts, as kubectl writes taints. Errors: WrongUse."""
    found = []
    for text in filter(None, texts):
        mark, separator, effect = text.rpartition(":")
        key, _, value = mark.partition("=")
        if not separator or not key:
            raise WrongUse(f"'{text}' is not key=value:effect.")
        found.append({"key": key, "value": value, "effect": effect})
    return found
