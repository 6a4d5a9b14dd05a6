"""What the catalogue tells others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import DomainEvent, JsonValue


@dataclass(frozen=True, slots=True)
class CatalogueChanged(DomainEvent):
    """Entries of these names are new or say something else now."""

    topic: ClassVar[str] = "catalogue.changed"

    names: tuple[str, ...]

    def payload(self) -> Mapping[str, JsonValue]:
        return {"names": list(self.names)}
