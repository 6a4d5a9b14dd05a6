"""`rempart invoices`: what was billed, with its files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.names import InvoiceArgument
from controlplane.cli.output import Format, OutputOption, show_done, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

COLUMNS = (
    ("number", "number"),
    ("id", "id"),
    ("kind", "kind"),
    ("state", "state"),
    ("month", "period"),
    ("gross", "gross"),
    ("currency", "currency"),
    ("due", "due_on"),
)


class Kind(StrEnum):
    PDF = "pdf"
    XML = "xml"


PathArgument = Annotated[Path, typer.Argument(dir_okay=False, help="File to write.")]
KindOption = Annotated[
    Kind, typer.Option("--format", help="pdf is the Factur-X original, xml the invoice inside it.")
]


@app.command("list")
def list_invoices(output: OutputOption = Format.TABLE) -> None:
    """List your invoices and credit notes, newest first."""
    with connect() as client:
        show_list(client.invoices.list(), COLUMNS, output)


@app.command("get")
def get_invoice(invoice: InvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show an invoice, with the steps from usage to each amount."""
    with connect() as client:
        show_one(client.invoices.get(invoice), output)


@app.command("download")
def download_invoice(
    invoice: InvoiceArgument,
    path: PathArgument,
    kind: KindOption = Kind.PDF,
    output: OutputOption = Format.TABLE,
) -> None:
    """Write an issued invoice to a file: the archived original, or the XML inside it."""
    with connect() as client:
        content = client.invoices.download(invoice, kind.value)
    save(path, content, output)


@app.command("status")
def show_status(invoice: InvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show where an invoice stands on its way to you: its profile and its life cycle."""
    with connect() as client:
        show_one(client.invoices.e_invoice(invoice), output, name="state")


def save(path: Path, content: bytes, output: Format) -> None:
    """Write a file that was asked for and say so."""
    path.write_bytes(content)
    done = {"file": str(path), "bytes": len(content)}
    show_done(done, f"{len(content)} bytes written to {path}.", output, name="file")
