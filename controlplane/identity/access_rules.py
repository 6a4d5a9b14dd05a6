"""Who may do what, and why: pure decisions over the matrix."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.identity.matrix import CLOSED_TO_PROJECT_KEYS, MATRIX, ORGANIZATION_WIDE
from controlplane.kernel.access import Action, Resource
from controlplane.kernel.principal import INSTALLATION_ROLES, Principal, Role

# The order in which a key's maker may hand out roles: never more than it has itself.
_GRANTS: dict[Role, frozenset[Role]] = {
    Role.OWNER: frozenset(set(Role) - INSTALLATION_ROLES),
    Role.ADMIN: frozenset({Role.ADMIN, Role.DEVELOPER, Role.AUDITOR, Role.VIEWER}),
    Role.DEVELOPER: frozenset({Role.DEVELOPER, Role.VIEWER}),
    Role.BILLING: frozenset({Role.BILLING}),
    Role.AUDITOR: frozenset({Role.AUDITOR}),
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.PLATFORM: INSTALLATION_ROLES,
    Role.PLATFORM_SRE: frozenset(),
    Role.PLATFORM_BILLING: frozenset(),
    Role.PLATFORM_AUDITOR: frozenset(),
    Role.PRODUCER: frozenset(),
}


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """Whether an action is allowed, the sentence that says why, and the roles that have it."""

    is_allowed: bool
    reason: str
    roles: tuple[Role, ...]


def explain(principal: Principal, resource: Resource, action: Action) -> AccessDecision:
    """Decide one action and say why, in a sentence for the caller."""
    roles = tuple(role for role in Role if action in MATRIX[(role, resource)])
    what = f"{action} on {resource.replace('_', ' ')}"
    if action not in MATRIX[(principal.role, resource)]:
        who = ", ".join(roles) if roles else "no role"
        return AccessDecision(False, f"The role {principal.role} does not allow {what}; {who} does.", roles)
    if principal.project_id is not None:
        is_change = action is not Action.READ
        if resource in CLOSED_TO_PROJECT_KEYS or (is_change and resource in ORGANIZATION_WIDE):
            reason = (
                f"This key is bound to one project and cannot {what}: use a key of the whole organization."
            )
            return AccessDecision(False, reason, roles)
    return AccessDecision(True, f"The role {principal.role} allows {what}.", roles)


def may_grant(maker: Role, role: Role) -> bool:
    """A key can make keys of its own strength or less."""
    return role in _GRANTS[maker]
