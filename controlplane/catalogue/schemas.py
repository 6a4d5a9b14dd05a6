"""Wire shapes of the catalogue."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import Field

from controlplane.catalogue.domain import InstanceType, Model
from controlplane.plumbing.amounts import exact_text
from controlplane.plumbing.web import WireModel


class EngineOut(WireModel):
    """The program that serves a model."""

    name: str = Field(description="Name of the engine.", examples=["llama-cpp"])
    image: str = Field(description="Its container image.")


class SizingOut(WireModel):
    """What one replica needs."""

    cpu_milli: int = Field(description="CPU in thousandths of a core.")
    memory_mib: int = Field(description="Memory in MiB.")
    gpus: int = Field(description="GPUs; 0 for a model that runs on CPU.")
    gpu_sku: str | None = Field(description="Which GPUs.")


class ModelOut(WireModel):
    """A model that can be deployed."""

    name: str = Field(
        description="Name that a service definition and callers use.", examples=["smollm2-135m-instruct"]
    )
    title: str = Field(description="Name for people.")
    licence_colour: str = Field(
        description="green: OSI-approved; yellow: restricted in use, size, geography or naming; blue: closed."
    )
    licence_spdx: str = Field(description="SPDX id of the weights' licence.")
    origin: str = Field(description="Who trained it.")
    origin_country: str | None = Field(description="Their seat; null when not stated.")
    uri: str = Field(description="Where the weights come from.")
    digest: str | None = Field(description="sha256 of the weights; null when not known.")
    is_verifiable: bool = Field(description="Whether the weights can be checked before serving.")
    engine: EngineOut = Field(description="The program that serves it.")
    parameters: int = Field(description="Number of parameters.")
    context_tokens: int = Field(description="Longest context in tokens.")
    sizing: SizingOut = Field(description="CPU, memory and GPUs of one replica.")
    instance_type: str = Field(description="Instance type taken when a definition names none.")
    source: str = Field(description="Where these facts are from.")
    as_of: date = Field(description="When these facts were true.")


class InstanceTypeOut(WireModel):
    """A size that is sold."""

    name: str = Field(description="Name that a service definition uses.", examples=["b300-4x"])
    title: str = Field(description="Name for people.")
    cpu_milli: int = Field(description="CPU in thousandths of a core.")
    memory_mib: int = Field(description="Memory in MiB.")
    gpus: int = Field(description="GPUs.")
    gpu_sku: str | None = Field(description="Which GPUs.")
    price_per_hour: str | None = Field(
        description="Price of an hour before VAT, by the plan of the caller's organization, as `/v1/prices` lists it. "
        "0.00: only tokens are billed. Null: no price is in force, or the caller has no organization.",
        examples=["5.90"],
    )
    currency: str = Field(description="ISO 4217, of the price.", examples=["EUR"])


class ModelReply(WireModel):
    """One model."""

    model: ModelOut


class ModelList(WireModel):
    """All models, by name."""

    models: list[ModelOut]


class InstanceTypeList(WireModel):
    """All instance types, by name."""

    instances: list[InstanceTypeOut]


def from_model(model: Model) -> ModelOut:
    sizing = model.sizing
    return ModelOut(
        name=model.name,
        title=model.title,
        licence_colour=str(model.licence_colour),
        licence_spdx=model.licence_spdx,
        origin=model.origin,
        origin_country=model.origin_country,
        uri=model.uri,
        digest=model.digest,
        is_verifiable=model.is_verifiable,
        engine=EngineOut(name=model.engine.name, image=model.engine.image),
        parameters=model.parameters,
        context_tokens=model.context_tokens,
        sizing=SizingOut(
            cpu_milli=sizing.cpu_milli, memory_mib=sizing.memory_mib, gpus=sizing.gpus, gpu_sku=sizing.gpu_sku
        ),
        instance_type=model.instance_type,
        source=model.source,
        as_of=model.as_of,
    )


def from_instance_type(kind: InstanceType, price_per_hour: Decimal | None) -> InstanceTypeOut:
    return InstanceTypeOut(
        name=kind.name,
        title=kind.title,
        cpu_milli=kind.cpu_milli,
        memory_mib=kind.memory_mib,
        gpus=kind.gpus,
        gpu_sku=kind.gpu_sku,
        price_per_hour=None if price_per_hour is None else exact_text(price_per_hour),
        currency=kind.currency,
    )
