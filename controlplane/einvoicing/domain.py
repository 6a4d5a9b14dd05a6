"""E-invoices as values: where a document stands, its archived files, what the platform says of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import Id, TenantId
from controlplane.kernel.transitions import TransitionTable


class StatusId(Id):
    prefix = "est"


class EInvoiceState(StrEnum):
    """PENDING: to be made. ARCHIVED: made, accepted by the rules, kept. SUBMITTED: the platform took it.
    NOT_TRANSMITTED: no platform is connected, and that is all that can be said."""

    PENDING = "PENDING"
    RENDER_FAILED = "RENDER_FAILED"
    ARCHIVED = "ARCHIVED"
    SUBMITTED = "SUBMITTED"
    SUBMIT_FAILED = "SUBMIT_FAILED"
    NOT_TRANSMITTED = "NOT_TRANSMITTED"


# The files exist and never change.
FINISHED = frozenset(
    {
        EInvoiceState.ARCHIVED, EInvoiceState.SUBMITTED, EInvoiceState.SUBMIT_FAILED, EInvoiceState.NOT_TRANSMITTED,
    }
)  # fmt: skip


class EInvoiceTrigger(StrEnum):
    ARCHIVE = "archive"
    FAIL = "fail"
    RETRY = "retry"
    SUBMIT = "submit"
    KEEP = "keep"


TRANSITIONS = TransitionTable(
    "e-invoice",
    {
        (EInvoiceState.PENDING, EInvoiceTrigger.ARCHIVE): EInvoiceState.ARCHIVED,
        (EInvoiceState.PENDING, EInvoiceTrigger.FAIL): EInvoiceState.RENDER_FAILED,
        (EInvoiceState.RENDER_FAILED, EInvoiceTrigger.RETRY): EInvoiceState.PENDING,
        (EInvoiceState.ARCHIVED, EInvoiceTrigger.SUBMIT): EInvoiceState.SUBMITTED,
        (EInvoiceState.ARCHIVED, EInvoiceTrigger.FAIL): EInvoiceState.SUBMIT_FAILED,
        (EInvoiceState.ARCHIVED, EInvoiceTrigger.KEEP): EInvoiceState.NOT_TRANSMITTED,
        (EInvoiceState.SUBMIT_FAILED, EInvoiceTrigger.RETRY): EInvoiceState.ARCHIVED,
        (EInvoiceState.NOT_TRANSMITTED, EInvoiceTrigger.RETRY): EInvoiceState.ARCHIVED,
    },
)


class LifeCycle(IntEnum):
    """Status codes of the French reform (CDAR D22B) that this room writes or reads."""

    DEPOSITED = 200
    ISSUED_BY_PLATFORM = 201
    RECEIVED = 202
    MADE_AVAILABLE = 203
    TAKEN_IN_CHARGE = 204
    APPROVED = 205
    PARTLY_APPROVED = 206
    DISPUTED = 207
    SUSPENDED = 208
    COMPLETED = 209
    REFUSED = 210
    PAYMENT_SENT = 211
    COLLECTED = 212
    REJECTED = 213
    CANCELLED = 220
    ROUTING_ERROR = 221
    INADMISSIBLE = 501


LABELS = {
    LifeCycle.DEPOSITED: "Déposée",
    LifeCycle.ISSUED_BY_PLATFORM: "Émise par la plateforme",
    LifeCycle.RECEIVED: "Reçue",
    LifeCycle.MADE_AVAILABLE: "Mise à disposition",
    LifeCycle.TAKEN_IN_CHARGE: "Prise en charge",
    LifeCycle.APPROVED: "Approuvée",
    LifeCycle.PARTLY_APPROVED: "Approuvée partiellement",
    LifeCycle.DISPUTED: "En litige",
    LifeCycle.SUSPENDED: "Suspendue",
    LifeCycle.COMPLETED: "Complétée",
    LifeCycle.REFUSED: "Refusée",
    LifeCycle.PAYMENT_SENT: "Paiement transmis",
    LifeCycle.COLLECTED: "Encaissée",
    LifeCycle.REJECTED: "Rejetée",
    LifeCycle.CANCELLED: "Annulée",
    LifeCycle.ROUTING_ERROR: "Erreur de routage",
    LifeCycle.INADMISSIBLE: "Irrecevable",
}

# BR-FR-CDV-15: these are meaningless without a reason.
REASON_NEEDED = frozenset(
    {
        LifeCycle.REFUSED, LifeCycle.REJECTED, LifeCycle.INADMISSIBLE, LifeCycle.PARTLY_APPROVED,
        LifeCycle.DISPUTED, LifeCycle.SUSPENDED,
    }
)  # fmt: skip


class FileKind(StrEnum):
    """PDF: the Factur-X file, which is the original; XML: the CII inside it, kept beside it for machines."""

    PDF = "pdf"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file as it was first written; `sha256` is checked on every read."""

    tenant_id: TenantId
    invoice_id: InvoiceId
    kind: FileKind
    content: bytes
    sha256: str
    archived_at: datetime


@dataclass(frozen=True, slots=True)
class EInvoice:
    """Where a document stands on its way to the customer; `message` says what failed or what was answered."""

    tenant_id: TenantId
    invoice_id: InvoiceId
    state: EInvoiceState
    profile: str
    message: str
    flow_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """One step of a document's life cycle; `amount_minor` is what was collected (212), VAT included."""

    id: StatusId
    tenant_id: TenantId
    invoice_id: InvoiceId
    code: LifeCycle
    reason: str
    source: str
    amount_minor: int | None
    is_simulated: bool
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Documents:
    """What is made of an issued invoice: the validated CII and the Factur-X file around it."""

    profile: str
    xml: bytes
    pdf: bytes
