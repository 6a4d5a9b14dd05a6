"""Where each engine shows that it does its work, not only that its web server answers. Pure.

llama.cpp answers `/metrics` from the loop that decodes (tools/server: a task of its queue), and `/health` from the web
server alone. vLLM's `/health` asks its engine core (vllm/entrypoints/openapi, "health"), and loads for minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Liveness:
    """`path` to ask by GET, and seconds that the engine may take to start before it is asked."""

    path: str
    start_seconds: int


_LIVENESS: Final[Mapping[str, Liveness]] = {
    "llama-cpp": Liveness("/metrics", 30),
    "vllm": Liveness("/health", 600),
}


def find_liveness(engine: str) -> Liveness:
    """How an engine is asked; one without an entry by its `/health`, after ten minutes."""
    return _LIVENESS.get(engine, Liveness("/health", 600))
