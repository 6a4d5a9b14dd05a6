"""What the capacity room tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controlplane.kernel.events import DomainEvent, JsonValue


@dataclass(frozen=True, slots=True)
class NodePoolChanged(DomainEvent):
    """A pool's row differs from what its cell was last told."""

    topic: ClassVar[str] = "node_pool.changed"
    pool_name: str

    def payload(self) -> Mapping[str, JsonValue]:
        return {"pool_name": self.pool_name}


@dataclass(frozen=True, slots=True)
class CapacityChanged(DomainEvent):
    """Something that was full may have room now."""

    topic: ClassVar[str] = "capacity.changed"
    datacenter_code: str

    def payload(self) -> Mapping[str, JsonValue]:
        return {"datacenter_code": self.datacenter_code}
