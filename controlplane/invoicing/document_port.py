"""The port through which issuing makes a document's files: no number and no entry without them.

The files are the einvoicing room's, which stands above this one; it is put in here by the programs (`use_keeper`).
A program that issues without a keeper gets an error before any number is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controlplane.invoicing.domain import Invoice, InvoiceId
from controlplane.plumbing.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class FileState:
    """Where the files of an issued document stand (PENDING, RENDER_FAILED, ARCHIVED) and what was said of it."""

    state: str
    message: str
    is_kept: bool


class DocumentKeeper(Protocol):
    def find_problem(self, invoice: Invoice) -> str | None:
        """Make and check the files of a document that looks issued, keep nothing; the reason why they cannot be made.

        Never raises: whatever goes wrong in a document is its reason.
        """
        ...

    def keep(self, uow: UnitOfWork, invoice: Invoice) -> None:
        """Make the files of an issued document and archive them in this transaction.

        Errors: Unavailable when they cannot be made; the transaction must then be rolled back.
        """
        ...

    def find_states(self, uow: UnitOfWork, invoice_ids: Sequence[InvoiceId]) -> Mapping[InvoiceId, FileState]:
        """Where the files of these documents stand; a document whose files nobody began is left out."""
        ...


_keepers: list[DocumentKeeper] = []


def use_keeper(keeper: DocumentKeeper) -> None:
    """Say who makes and keeps documents; called once by each program."""
    _keepers[:] = [keeper]


def get_keeper() -> DocumentKeeper:
    if not _keepers:
        raise RuntimeError("No document keeper is in place: this program cannot issue documents.")
    return _keepers[0]
