"""Which routers the REST door has; a room's router is listed once its room stands."""

from __future__ import annotations

from fastapi import APIRouter

from controlplane.audit.api import make_admin_router as make_admin_audit_router
from controlplane.audit.api import make_router as make_audit_router
from controlplane.audit.api_security import make_admin_security_router, make_security_router
from controlplane.capacity.api import router as capacity_router
from controlplane.capacity.api_nodes import router as nodes_router
from controlplane.catalogue.api import make_sizes_router
from controlplane.catalogue.api import router as catalogue_router
from controlplane.deployments.api import router as deployments_router
from controlplane.einvoicing.api import admin_router as admin_einvoicing_router
from controlplane.einvoicing.api import list_router as admin_e_invoices_router
from controlplane.einvoicing.api import router as einvoicing_router
from controlplane.einvoicing.keeper import register_keeper
from controlplane.entrypoints.clock_api import router as clock_router
from controlplane.entrypoints.deliveries_api import router as deliveries_router
from controlplane.entrypoints.size_prices import price_sizes
from controlplane.identity.api import router as identity_router
from controlplane.identity.api_operator_keys import router as operator_keys_router
from controlplane.identity.api_signup import admin_router as admin_signup_router
from controlplane.identity.api_signup import public_router as signup_router
from controlplane.identity.service import require
from controlplane.invoicing.api import admin_router as admin_invoicing_router
from controlplane.invoicing.api import router as invoicing_router
from controlplane.ledger.api import router as ledger_router
from controlplane.metering.api import router as metering_router
from controlplane.payments.api import admin_router as admin_payments_router
from controlplane.payments.api import router as payments_router
from controlplane.rating.api import router as rating_router
from controlplane.rating.api_admin import router as rating_admin_router
from controlplane.sovereignty.api import router as sovereignty_router
from controlplane.tenancy.api import make_router as make_tenancy_router
from controlplane.tenancy.api_admin import make_admin_router as make_admin_tenancy_router

register_keeper()

# Reachable without a key: signing up, and nothing else.
PUBLIC_ROUTERS: tuple[APIRouter, ...] = (signup_router,)
ROUTERS: tuple[APIRouter, ...] = (
    make_audit_router(require),
    make_admin_audit_router(require),
    make_security_router(require),
    make_admin_security_router(require),
    make_tenancy_router(require),
    make_admin_tenancy_router(require),
    identity_router,
    admin_signup_router,
    operator_keys_router,
    sovereignty_router,
    capacity_router,
    nodes_router,
    catalogue_router,
    make_sizes_router(price_sizes),
    deployments_router,
    metering_router,
    invoicing_router,
    admin_invoicing_router,
    einvoicing_router,
    admin_einvoicing_router,
    admin_e_invoices_router,
    payments_router,
    admin_payments_router,
    rating_router,
    rating_admin_router,
    ledger_router,
    clock_router,
    deliveries_router,
)
