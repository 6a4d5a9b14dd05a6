"""What can be done to what: the words of authorization. Who may is decided in the identity room."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from controlplane.kernel.errors import Forbidden
from controlplane.kernel.ids import TenantId
from controlplane.kernel.principal import Principal


class Resource(StrEnum):
    """A kind of thing that the API offers; the rows of the permission matrix."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    QUOTA = "quota"
    API_KEY = "api_key"
    OPERATOR_KEY = "operator_key"
    AUDIT_EVENT = "audit_event"
    SECURITY_EVENT = "security_event"
    APP = "app"
    SERVICE = "service"
    DEPLOYMENT = "deployment"
    INSTANCE = "instance"
    LOG = "log"
    SECRET = "secret"  # noqa: S105 - the kind of a resource, not a secret
    DOMAIN = "domain"
    INFERENCE = "inference"
    USAGE = "usage"
    INVOICE = "invoice"
    COST = "cost"
    BUDGET = "budget"
    PRICE = "price"
    LEDGER = "ledger"
    REQUIREMENT = "requirement"
    VERDICT = "verdict"
    RECEIPT = "receipt"
    LEGAL_ENTITY = "legal_entity"
    CERTIFICATION = "certification"
    DATACENTER = "datacenter"
    CELL = "cell"
    NODE_POOL = "node_pool"
    NODE = "node"
    RESERVATION = "reservation"
    MODEL = "model"
    INSTANCE_TYPE = "instance_type"
    DECISION = "decision"
    CLOCK = "clock"
    DELIVERY = "delivery"


class Action(StrEnum):
    """READ covers get, list and export; OPERATE covers verbs on what runs (pause, resume, call, drain)."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    OPERATE = "operate"


# How a room below identity is handed the decision: it raises Forbidden, or returns.
Authorize = Callable[[Principal, Resource, Action], None]


def tenant_of(principal: Principal) -> TenantId:
    """Return the caller's tenant; Forbidden for the platform operator, who has none."""
    if principal.tenant_id is None:
        raise Forbidden("This belongs to an organization: use one of its API keys.")
    return principal.tenant_id
