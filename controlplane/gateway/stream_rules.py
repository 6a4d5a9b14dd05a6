"""Whether a stream that runs may go on: the rights under which it began, looked at again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from controlplane.gateway.domain import ApiKey, BudgetState, Route

KEY_REVOKED = "api_key_revoked"
KEY_EXPIRED = "api_key_expired"
BUDGET_EXHAUSTED = "insufficient_quota"
NOT_ADMISSIBLE = "jurisdiction_not_admissible"


def decide_stream(
    keys: Mapping[str, ApiKey] | None,
    budgets: BudgetState | None,
    route: Route | None,
    caller: tuple[str, str, str],
    now: datetime,
) -> str | None:
    """Return the code with which a stream ends, or None while it may go on.

    Shapes: `keys` by key id, None where no snapshot was ever seen; `caller` is (key id, tenant id, project id).
    A suspended tenant has no keys left. A route that is gone is left to the drain of its deployment, and what nobody
    knows any more (no snapshot, an old budget state) ends nothing that runs.
    """
    key_id, tenant_id, project_id = caller
    if keys is not None:
        key = keys.get(key_id)
        if key is None or key.tenant_id != tenant_id:
            return KEY_REVOKED
        if key.expires_at is not None and key.expires_at <= now:
            return KEY_EXPIRED
    if budgets is not None and (tenant_id in budgets.tenants or project_id in budgets.projects):
        return BUDGET_EXHAUSTED
    if route is not None and not route.verdict.is_admissible:
        return NOT_ADMISSIBLE
    return None
