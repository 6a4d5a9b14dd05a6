"""Wire shapes of API keys, sign-up and permissions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import Field

from controlplane.identity import key_rules
from controlplane.identity.domain import Action, ApiKey, IssuedKey, KeyKind, KeyState, Resource, Role, Scope
from controlplane.plumbing.web import WireModel

_SECRET = "The key itself: shown once. Null when the same request is repeated."  # noqa: S105 - a description


class TenantKeyKind(StrEnum):
    """Kinds that an organization can make."""

    PAT = "pat"
    SVC = "svc"


class TenantRole(StrEnum):
    """Roles that an organization can give."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    BILLING = "billing"
    AUDITOR = "auditor"
    VIEWER = "viewer"


class ApiKeyCreate(WireModel):
    name: str = Field(min_length=1, max_length=100, description="What the key is for.", examples=["ci"])
    role: TenantRole = Field(
        description="What its holder may do; not more than yours.", examples=["developer"]
    )
    kind: TenantKeyKind = Field(
        default=TenantKeyKind.SVC, description="`pat` for a person, `svc` for a program.", examples=["svc"]
    )
    project_id: str | None = Field(
        default=None,
        max_length=40,
        description="Binds the key to one project; without it, models are called in the default project.",
        examples=["prj_01jd00000000000000000000a0"],
    )
    scopes: list[Scope] | None = Field(
        default=None,
        max_length=2,
        description="`manage` opens this API, `inference` the gateway; left out: all that the role allows.",
        examples=[["manage", "inference"]],
    )
    expires_in_days: int = Field(
        default=key_rules.EXPIRES_IN_DAYS_DEFAULT,
        ge=1,
        le=key_rules.EXPIRES_IN_DAYS_MAX,
        description="How long the key lives.",
        examples=[90],
    )


class OperatorRole(StrEnum):
    """Roles of the operator's people, and of what reports usage."""

    PLATFORM = "platform"
    PLATFORM_SRE = "platform_sre"
    PLATFORM_BILLING = "platform_billing"
    PLATFORM_AUDITOR = "platform_auditor"
    PRODUCER = "producer"


class OperatorKeyCreate(WireModel):
    name: str = Field(
        min_length=1, max_length=100, description="Who holds it, or what for.", examples=["accounting"]
    )
    role: OperatorRole = Field(
        description="What its holder may do: all, run sites, bill, read, or report usage.",
        examples=["platform_billing"],
    )
    expires_in_days: int = Field(
        default=key_rules.EXPIRES_IN_DAYS_DEFAULT,
        ge=1,
        le=key_rules.EXPIRES_IN_DAYS_MAX,
        description="How long the key lives.",
        examples=[90],
    )
    source: str | None = Field(
        default=None,
        max_length=100,
        pattern=key_rules.SOURCE_PATTERN,
        description="For a producer: the one gateway or cell that it reports for.",
        examples=["/gateways/essonne-1"],
    )


class ApiKeyRoll(WireModel):
    overlap_hours: int = Field(
        default=key_rules.OVERLAP_HOURS_DEFAULT,
        ge=0,
        le=key_rules.OVERLAP_HOURS_MAX,
        description="How long the old key still works.",
        examples=[24],
    )


class ApiKeyShape(WireModel):
    id: str = Field(description="Public id of the key.", examples=["key_01jd00000000000000000000a0"])
    name: str = Field(description="What the key is for.", examples=["ci"])
    kind: KeyKind = Field(description="Who holds it.", examples=["svc"])
    role: Role = Field(description="What its holder may do.", examples=["developer"])
    scopes: list[Scope] = Field(description="Which doors it opens.", examples=[["inference", "manage"]])
    project_id: str | None = Field(description="The project it is bound to.", examples=[None])
    last_four: str = Field(description="Last characters, to tell keys apart.", examples=["x4Qz"])
    state: KeyState = Field(description="What it is worth now.", examples=["ACTIVE"])
    created_at: datetime = Field(description="When it was made.", examples=["2026-11-21T09:00:00Z"])
    created_by: str = Field(description="The key that made it.", examples=["signup"])
    expires_at: datetime | None = Field(description="When it ends.", examples=["2027-02-19T09:00:00Z"])
    revoked_at: datetime | None = Field(
        description="When it was revoked, or will be after a roll.", examples=[None]
    )
    last_used_at: datetime | None = Field(description="Last use, to the minute.", examples=[None])
    source: str | None = Field(
        default=None, description="The gateway or cell that a producer's key reports for.", examples=[None]
    )

    @classmethod
    def of(cls, key: ApiKey, now: datetime) -> ApiKeyShape:
        return cls(**_fields(key, now))


class ApiKeyCreatedShape(ApiKeyShape):
    secret: str | None = Field(
        description=_SECRET, examples=["rmp_svc_live_0123456789abcdefghijABCDEFGHIJ_0Ab3xZ"]
    )

    @classmethod
    def of_issued(cls, issued: IssuedKey, now: datetime) -> ApiKeyCreatedShape:
        return cls(**_fields(issued.key, now), secret=issued.secret)


class ApiKeyAnswer(WireModel):
    api_key: ApiKeyShape = Field(description="The key, without its text.")


class ApiKeyCreated(WireModel):
    api_key: ApiKeyCreatedShape = Field(description="The key; copy its secret now.")

    @classmethod
    def of(cls, issued: IssuedKey, now: datetime) -> ApiKeyCreated:
        return cls(api_key=ApiKeyCreatedShape.of_issued(issued, now))

    def redacted(self) -> Self:
        return self.model_copy(update={"api_key": self.api_key.model_copy(update={"secret": None})})


class ApiKeyRolled(ApiKeyCreated):
    previous: ApiKeyShape = Field(description="The key that it replaces, with its end in `revoked_at`.")


class ApiKeyList(WireModel):
    api_keys: list[ApiKeyShape] = Field(description="Newest first.")
    limit: int = Field(description="How many items a page holds.", examples=[50])
    has_next: bool = Field(description="Whether more follow.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class PermissionShape(WireModel):
    is_allowed: bool = Field(description="Whether this key may.", examples=[True])
    reason: str = Field(description="Why, in a sentence.", examples=["The role owner allows read on app."])
    role: Role = Field(description="The key's role.", examples=["owner"])
    roles: list[Role] = Field(description="All roles that may.", examples=[["owner", "admin"]])
    resource: Resource = Field(description="The kind of thing asked about.", examples=["app"])
    action: Action = Field(description="The action asked about.", examples=["read"])


class PermissionAnswer(WireModel):
    permission: PermissionShape = Field(description="The decision.")


class CallerShape(WireModel):
    key_id: str = Field(
        description="The key that this request used.", examples=["key_01jd00000000000000000000a0"]
    )
    role: Role = Field(description="Its role.", examples=["owner"])
    organization_id: str | None = Field(
        description="Its organization; null for the operator.", examples=["org_01jd00000000000000000000a0"]
    )
    project_id: str | None = Field(description="The project it is bound to.", examples=[None])
    access_ends_at: datetime | None = Field(
        description="When the last key that can make keys ends, if that is within 30 days: make or roll one before.",
        examples=[None],
    )


class CallerAnswer(WireModel):
    caller: CallerShape = Field(description="Who is calling.")


def _fields(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "name": key.name,
        "kind": key.kind,
        "role": key.role,
        "scopes": sorted(key.scopes),
        "project_id": None if key.project_id is None else str(key.project_id),
        "last_four": key.last_four,
        "state": key.state(now),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "source": key.source,
    }
