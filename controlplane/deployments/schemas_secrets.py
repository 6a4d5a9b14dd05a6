"""Wire shapes of secrets: a value goes in and never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field, SecretStr

from controlplane.deployments.definition_schemas import Name
from controlplane.deployments.domain import Secret
from controlplane.deployments.schemas import Paged, WireId
from controlplane.kernel import bounds
from controlplane.plumbing.web import WireModel


class SecretCreate(WireModel):
    """A new secret."""

    name: Name
    value: SecretStr = Field(
        min_length=1, max_length=bounds.SECRET_VALUE_LENGTH, description="Its value; write-only."
    )
    project_id: WireId | None = Field(
        default=None, description="Its project; the key's own or the default one if absent."
    )


class SecretUpdate(WireModel):
    """A new value for a secret; what runs keeps the old one until it is deployed again."""

    value: SecretStr = Field(
        min_length=1, max_length=bounds.SECRET_VALUE_LENGTH, description="Its value; write-only."
    )


class SecretOut(WireModel):
    """A secret without its value."""

    id: str = Field(description="Id of the secret.")
    organization_id: str = Field(description="Id of the organization.")
    project_id: str = Field(description="Id of the project.")
    name: str = Field(description="Name within the project, as definitions use it.")
    version: int = Field(description="Counts its values; send it back in If-Match.")
    created_at: datetime = Field(description="When it was made.")
    updated_at: datetime = Field(description="When its value last changed.")

    @classmethod
    def of(cls, secret: Secret) -> Self:
        return cls(
            id=str(secret.id),
            organization_id=str(secret.tenant_id),
            project_id=str(secret.project_id),
            name=secret.name,
            version=secret.version,
            created_at=secret.created_at,
            updated_at=secret.updated_at,
        )


class SecretReply(WireModel):
    """One secret."""

    secret: SecretOut


class SecretList(Paged):
    """A page of secrets."""

    secrets: list[SecretOut]
