"""Signing up: an organization, its first project and its owner's key in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.identity import key_rules
from controlplane.identity.domain import IssuedKey, KeyKind, Role
from controlplane.identity.service_keys import KeyMaker, KeyWish, issue_key
from controlplane.plumbing.database import UnitOfWork
from controlplane.tenancy import service as tenancy
from controlplane.tenancy.domain import BillingParty, Project, Tenant

SIGNUP_ACTOR = "signup"


@dataclass(frozen=True, slots=True)
class SignedUp:
    tenant: Tenant
    project: Project
    key: IssuedKey


def sign_up(
    uow: UnitOfWork,
    organization_name: str,
    party: BillingParty,
    project_name: str,
    maker: KeyMaker,
    *,
    actor: str = SIGNUP_ACTOR,
    terms: str | None = None,
    pending_max: int | None = None,
) -> SignedUp:
    """Create all three or none (platform transaction).

    `terms`: the version that was accepted. `pending_max`: the organization waits for approval, beside at most so many
    others. Errors: InvalidInput for a bad party, TooManyRequests where too many wait.
    """
    tenant = tenancy.create_tenant(
        uow, organization_name, party, actor=actor, terms=terms, pending_max=pending_max
    )
    project = tenancy.create_project(uow, tenant.id, project_name, "", actor=actor, is_default=True)
    wish = KeyWish(
        name="first key",
        role=Role.OWNER,
        kind=KeyKind.PAT,
        expires_in_days=key_rules.EXPIRES_IN_DAYS_MAX,
    )
    return SignedUp(tenant, project, issue_key(uow, tenant.id, wish, maker, actor=actor))
