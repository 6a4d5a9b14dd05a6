"""What the sovereignty room tells others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import DomainEvent, JsonValue


@dataclass(frozen=True, slots=True)
class FactChanged(DomainEvent):
    """A fact was recorded or ended. `keys` are the entities (wire ids) and sites (`site:<code>`) it is about."""

    topic: ClassVar[str] = "fact.changed"

    fact_id: str
    change: str
    keys: tuple[str, ...]

    def payload(self) -> Mapping[str, JsonValue]:
        return {"fact_id": self.fact_id, "change": self.change, "keys": list(self.keys)}


@dataclass(frozen=True, slots=True)
class VerdictsChanged(DomainEvent):
    """Verdicts of these policies on these sites are no longer what they were: judge again before relying on them.

    `entity_ids` are the entities whose facts changed; empty when the calendar alone changed the verdicts.
    """

    topic: ClassVar[str] = "verdicts.changed"

    site_codes: tuple[str, ...]
    policy_hashes: tuple[str, ...]
    entity_ids: tuple[str, ...] = ()

    def payload(self) -> Mapping[str, JsonValue]:
        return {
            "site_codes": list(self.site_codes),
            "policy_hashes": list(self.policy_hashes),
            "entity_ids": list(self.entity_ids),
        }
