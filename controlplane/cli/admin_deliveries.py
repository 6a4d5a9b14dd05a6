"""`rempart admin deliveries`: work in the background that failed for good, and sending it again."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, show_list, show_one

deliveries = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

COLUMNS = (
    ("event", "event_id"),
    ("consumer", "consumer"),
    ("topic", "topic"),
    ("organization", "organization_id"),
    ("occurred", "occurred_at"),
    ("attempts", "attempts"),
    ("last error", "last_error"),
)
ConsumerOption = Annotated[str | None, typer.Option(help="Only deliveries to this consumer.")]


@deliveries.command("list")
def list_deliveries(consumer: ConsumerOption = None, output: OutputOption = Format.TABLE) -> None:
    """List deliveries that nobody tries any more, each with its last error."""
    with connect() as client:
        show_list(client.deliveries.list(consumer=consumer), COLUMNS, output, name="event_id")


@deliveries.command("retry")
def retry_delivery(
    event: Annotated[
        str | None, typer.Argument(help="Id of the event; without it, every dead delivery.")
    ] = None,
    consumer: ConsumerOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Send dead deliveries again: one (event and --consumer), those to one consumer, or all of them."""
    if event is not None and consumer is None:
        raise typer.BadParameter("Name the consumer too (--consumer): an event can have several deliveries.")
    with connect() as client:
        if event is not None and consumer is not None:
            result = client.deliveries.retry(event, consumer)
        else:
            result = client.deliveries.retry_all(consumer)
        show_one(result, output, name="retried")
