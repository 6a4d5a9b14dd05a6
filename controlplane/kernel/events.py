"""What rooms tell each other: immutable facts with a topic, written to the outbox with the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.ids import TenantId

JsonValue = str | int | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Base of a room's `events.py`: a subclass sets `topic` (noun.past) and says its payload."""

    topic: ClassVar[str] = ""

    @property
    def tenant(self) -> TenantId | None:
        """The tenant that the fact belongs to; None for the platform's own facts."""
        return None

    def payload(self) -> Mapping[str, JsonValue]:
        raise TypeError(f"{type(self).__name__} does not say its payload")


@dataclass(frozen=True, slots=True)
class TenantEvent(DomainEvent):
    """A fact that belongs to one tenant."""

    tenant_id: TenantId

    @property
    def tenant(self) -> TenantId:
        return self.tenant_id
