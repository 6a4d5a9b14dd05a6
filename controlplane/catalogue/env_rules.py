"""Which variables a tenant may set in an engine that the platform answers for. Pure.

A list of what is allowed, not of what is forbidden: container runtimes, drivers, linkers, interpreters, HTTP clients
and inference engines read hundreds of variables, and each release adds some. One of them is enough to see another
tenant's GPU (`NVIDIA_VISIBLE_DEVICES`: NVIDIA/gpu-operator issue 421), to load other code (`LD_PRELOAD`,
`PYTHONPATH`), to fetch another model (`HF_ENDPOINT`) or to send prompts elsewhere (`HTTPS_PROXY`). The same rule holds
at the API, for every kind of node, and on the process node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

OWN_PREFIX: Final = "APP_"
"""Names that begin so belong to the tenant: no engine, runtime or driver reads them."""

PLATFORM_ENV: Final = frozenset(
    {
        "REMPART_DRAIN_SECONDS",
        "REMPART_MODEL_DIGEST",
        "REMPART_MODEL_NAME",
        "REMPART_MODEL_URI",
        "REMPART_PARALLEL",
    }
)
"""What the platform itself tells an engine in its pod's environment; no tenant's variable has such a name."""

_OWN = re.compile(r"APP_[A-Z0-9_]{1,124}")
_COMMON: Final = frozenset({"LANG", "LOG_LEVEL", "NO_COLOR"})
_ALLOWED: Final[Mapping[str, frozenset[str]]] = {"llama-cpp": _COMMON, "vllm": _COMMON}


def list_allowed(engine: str) -> tuple[str, ...]:
    """Names that may be set beside those with the tenant's own prefix, sorted; none for an engine without a list."""
    return tuple(sorted(_ALLOWED.get(engine, frozenset())))


def find_env_refusal(engine: str, name: str) -> str | None:
    """Why the variable may not be set, as the end of a sentence; None when it may."""
    if name in _ALLOWED.get(engine, frozenset()) or _OWN.fullmatch(name):
        return None
    allowed = ", ".join((*list_allowed(engine), f"{OWN_PREFIX}…"))
    return f"{name} may change devices, code, model or network of the engine {engine}, which takes {allowed} only"
