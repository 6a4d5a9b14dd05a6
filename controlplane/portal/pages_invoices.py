"""Invoices and credit notes: the list, each line's calculation, the files."""

from __future__ import annotations

import re

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.errors import WrongDoor
from controlplane.portal.web import SignedIn, SignedInDep, TenantDep
from controlplane.sdk import NotFound
from controlplane.sdk.money import Invoices

router = APIRouter()
_KINDS = {"pdf": "application/pdf", "xml": "application/xml"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@router.get("/invoices")
def list_invoices(visit: TenantDep) -> Response:
    page = visit.listed(visit.api.invoices)
    balances = visit.allowed(visit.api.payments.balances) or []
    return visit.page("invoices.html", invoices=page.items, next_cursor=page.next_cursor, balances=balances)


@router.get("/invoices/{invoice_id}")
def show_invoice(visit: SignedInDep, invoice_id: str) -> Response:
    collection = _collection(visit)
    invoice = collection.get(invoice_id)
    status = None
    if not visit.who.is_operator:
        try:
            status = collection.e_invoice(invoice_id)
        except NotFound:
            status = None  # Not issued yet, or its files are still being made.
    return visit.page("invoice.html", invoice=invoice, e_invoice=status)


@router.get("/invoices/{invoice_id}/{kind}")
def download(visit: SignedInDep, invoice_id: str, kind: str) -> Response:
    if kind not in _KINDS:
        raise WrongDoor
    collection = _collection(visit)
    invoice = collection.get(invoice_id)
    name = _UNSAFE.sub("-", str(invoice["number"] or invoice_id))
    return Response(
        collection.download(invoice_id, kind),
        media_type=_KINDS[kind],
        headers={
            "Content-Disposition": f'attachment; filename="{name}.{kind}"',
            "Cache-Control": "no-store",
        },
    )


def _collection(visit: SignedIn) -> Invoices:
    return visit.api.platform_invoices if visit.who.is_operator else visit.api.invoices
