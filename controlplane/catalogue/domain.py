"""Models and instance types as frozen values. Money is integers: millionths of a euro cent per hour (scale 6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from controlplane.sovereignty.domain import LicenceColour

# What a manifest carries for weights whose digest nobody has stated: no file has it, so an engine that checks
# the digest refuses to serve. Only simulated capacity, which loads nothing, accepts it.
UNVERIFIABLE_DIGEST: Final = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Engine:
    """The program that serves a model: contracts.md, InferenceDeployment `spec.engine`."""

    name: str
    image: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sizing:
    """What one replica needs: CPU in thousandths of a core, memory in MiB, GPUs of one sku (0 and None: CPU only)."""

    cpu_milli: int
    memory_mib: int
    gpus: int = 0
    gpu_sku: str | None = None

    def __post_init__(self) -> None:
        if (self.gpus > 0) != (self.gpu_sku is not None):
            raise ValueError("GPUs are needed with their sku")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be deployed.

    `digest` is `sha256:<hex>` of the weights, None when it is not known: such weights are not verifiable.
    `origin` names who trained it, `origin_country` their seat. `source` says where these facts are from, `as_of`
    when they were true.
    """

    name: str
    title: str
    licence_colour: LicenceColour
    licence_spdx: str
    origin: str
    origin_country: str | None
    uri: str
    digest: str | None
    engine: Engine
    parameters: int
    context_tokens: int
    sizing: Sizing
    instance_type: str
    source: str
    as_of: date

    @property
    def is_verifiable(self) -> bool:
        return self.digest is not None

    @property
    def manifest_digest(self) -> str:
        return self.digest or UNVERIFIABLE_DIGEST


@dataclass(frozen=True, slots=True)
class InstanceType:
    """The size of one replica as it is sold; `price_per_hour_micro` in millionths of a cent of `currency`."""

    name: str
    title: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_sku: str | None
    price_per_hour_micro: int
    currency: str
    source: str
    as_of: date

    def __post_init__(self) -> None:
        if (self.gpus > 0) != (self.gpu_sku is not None):
            raise ValueError("GPUs are sold with their sku")
        if self.price_per_hour_micro < 0:
            raise ValueError("a price is not negative")

    def holds(self, sizing: Sizing) -> bool:
        """Whether a replica of this size fits: enough of everything, and the same accelerator."""
        return (
            self.cpu_milli >= sizing.cpu_milli
            and self.memory_mib >= sizing.memory_mib
            and self.gpus >= sizing.gpus
            and (sizing.gpu_sku is None or sizing.gpu_sku == self.gpu_sku)
        )
