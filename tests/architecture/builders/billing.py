"""Builders of the money rooms: a tenant with an issued invoice and its archived file."""

from __future__ import annotations

from typing import Any

from controlplane.einvoicing.tasks import render_invoice
from controlplane.kernel.ids import TenantId
from tests.architecture.wall import World, builds
from tests.fixtures.billing import make_billing


@builds("invoice_id")
def invoice_id(world: World) -> str:
    """Usage through the real door, the clock moved past the month, the month closed, the file made."""
    state: Any = world.api.app.state  # type: ignore[attr-defined]
    billing = make_billing(world.api, state.database, state.settings)
    tenant_id = TenantId.parse(world.owner.organization_id)
    billing.projects[tenant_id] = world.owner.project_id
    billing.use(tenant_id)
    billing.end_month()
    invoice = billing.invoice(tenant_id)
    render_invoice(state.database, tenant_id, invoice.id)
    return str(invoice.id)


@builds("kind", under="/v1/invoices", is_shared=True)
def file_kind(world: World) -> str:
    return "pdf"
