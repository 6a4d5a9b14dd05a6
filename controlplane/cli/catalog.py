"""`rempart catalog`: what can be deployed, on which sizes, and where."""

from __future__ import annotations

import typer

from controlplane.cli.config import connect
from controlplane.cli.names import ModelArgument
from controlplane.cli.output import Format, OutputOption, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
MODEL_COLUMNS = (
    ("name", "name"),
    ("licence", "licence_colour"),
    ("spdx", "licence_spdx"),
    ("size", "instance_type"),
    ("context", "context_tokens"),
)
TYPE_COLUMNS = (
    ("name", "name"),
    ("mCPU", "cpu_milli"),
    ("MiB", "memory_mib"),
    ("gpus", "gpus"),
    ("gpu", "gpu_sku"),
    ("an hour", "price_per_hour"),
)
PRICE_COLUMNS = (
    ("sku", "sku"),
    ("what", "description_en"),
    ("unit", "unit"),
    ("price", "unit_price"),
    ("for", "base_quantity"),
    ("since", "valid_from"),
)


@app.command()
def models(output: OutputOption = Format.TABLE) -> None:
    """List models with the colour of their licence."""
    with connect() as client:
        show_list(client.catalog.models(), MODEL_COLUMNS, output, name="name")


@app.command()
def model(name: ModelArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a model: licence, origin, digest, what one replica needs."""
    with connect() as client:
        show_one(client.catalog.model(name), output, name="name")


@app.command("instance-types")
def instance_types(output: OutputOption = Format.TABLE) -> None:
    """List the sizes of a replica."""
    with connect() as client:
        show_list(client.catalog.instance_types(), TYPE_COLUMNS, output, name="name")


@app.command()
def datacenters(output: OutputOption = Format.TABLE) -> None:
    """List the sites that a service can ask for."""
    columns = (("id", "id"), ("name", "name"), ("country", "country"), ("PUE ‰", "pue_milli"))
    with connect() as client:
        show_list(client.catalog.datacenters(), columns, output)


def prices(output: OutputOption = Format.TABLE) -> None:
    """Show the price list of your organization's plan, before VAT."""
    with connect() as client:
        found = client.price_list()
    if output is not Format.TABLE:
        show_one(found, output, name="plan")
        return
    rows = [
        {**price, **price["price"], "unit_price": f"{tier['unit_price']} {found['currency']}"}
        for price in found["prices"]
        for tier in price["price"]["tiers"]
    ]
    show_list(rows, PRICE_COLUMNS, output, name="sku")
