"""Tenants, projects, billing parties and quotas as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.transitions import TransitionTable


class TenantStatus(StrEnum):
    """PENDING: it signed up itself and nobody has checked who it is. REFUSED: it was checked, and is not served."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    REFUSED = "REFUSED"


# What these may do they do with limits; the others read, and change nothing.
OPEN_STATUSES: Final = frozenset({TenantStatus.PENDING, TenantStatus.ACTIVE})
# Who these are nobody has confirmed: no document is issued to them.
UNAPPROVED_STATUSES: Final = frozenset({TenantStatus.PENDING, TenantStatus.REFUSED})


class TenantTrigger(StrEnum):
    APPROVE = "approve"
    REFUSE = "refuse"
    SUSPEND = "suspend"
    RESUME = "resume"


TRANSITIONS = TransitionTable(
    "tenant",
    {
        (TenantStatus.PENDING, TenantTrigger.APPROVE): TenantStatus.ACTIVE,
        (TenantStatus.PENDING, TenantTrigger.REFUSE): TenantStatus.REFUSED,
        (TenantStatus.REFUSED, TenantTrigger.APPROVE): TenantStatus.ACTIVE,
        (TenantStatus.ACTIVE, TenantTrigger.SUSPEND): TenantStatus.SUSPENDED,
        (TenantStatus.SUSPENDED, TenantTrigger.RESUME): TenantStatus.ACTIVE,
    },
)


class QuotaName(StrEnum):
    """What is limited for each tenant: everything that it can make more of.

    GPUS and REPLICAS count what all running services may grow to.
    """

    PROJECTS = "projects"
    SERVICES = "services"
    GPUS = "gpus"
    REPLICAS = "replicas"
    API_KEYS = "api_keys"
    APPS = "apps"
    SECRETS = "secrets"


# How a refusal names what is limited, and what its reader can do besides asking for more.
QUOTA_WORDS: Final[Mapping[QuotaName, tuple[str, str]]] = {
    QuotaName.PROJECTS: ("projects", "delete a project that is empty"),
    QuotaName.SERVICES: ("services", "delete a service that is no longer used"),
    QuotaName.GPUS: ("GPUs", "scale a service down or pause it"),
    QuotaName.REPLICAS: ("replicas", "scale a service down or pause it"),
    QuotaName.API_KEYS: ("live API keys", "revoke a key that is no longer used"),
    QuotaName.APPS: ("apps", "delete an app that is empty"),
    QuotaName.SECRETS: ("secrets", "delete a secret that no service uses"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address; `country` is an ISO 3166-1 alpha-2 code (EN 16931 BG-8)."""

    line1: str
    line2: str
    postal_code: str
    city: str
    country: str


@dataclass(frozen=True, slots=True)
class BillingParty:
    """Who is invoiced (EN 16931 BG-7). `siren` is required in France; `vat_id` starts with its country."""

    legal_name: str
    country: str
    siren: str | None
    vat_id: str | None
    address: Address


@dataclass(frozen=True, slots=True)
class Tenant:
    """`version` counts changes of the tenant and of its billing party: both are one resource on the wire.

    `tax_zone` is where it is taxed by what was shown at sign-up or approved since (`party_rules.TaxZone`); UNCLEAR:
    nothing was shown or approved yet. None: it was not recorded, and the billing party's own counts.
    `suspension_reason` is also why it was refused. `terms` is the version of the terms of service that it accepted
    last; None: an operator made it and no one has.
    """

    id: TenantId
    name: str
    status: TenantStatus
    suspension_reason: str | None
    billing_party: BillingParty
    tax_zone: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    terms: str | None = None
    terms_accepted_at: datetime | None = None

    @property
    def is_approved(self) -> bool:
        """Whether somebody has confirmed who it is."""
        return self.status not in UNAPPROVED_STATUSES


@dataclass(frozen=True, slots=True)
class Project:
    """`is_default`: made with the tenant; keys that are bound to no project call models in this one."""

    id: ProjectId
    tenant_id: TenantId
    name: str
    description: str
    is_default: bool
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """One limit as it binds a tenant; `is_default` is false where the operator set it for this tenant."""

    name: QuotaName
    limit: int
    is_default: bool
