"""What the ledger tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import DomainEvent, JsonValue


@dataclass(frozen=True, slots=True)
class FiscalYearClosed(DomainEvent):
    """A year takes no entry any more; its FEC is final."""

    topic: ClassVar[str] = "fiscal_year.closed"
    year: int

    def payload(self) -> Mapping[str, JsonValue]:
        return {"year": self.year}
