"""State machines as tables: one mapping is the rule, the diagram in the README and the test's oracle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from controlplane.kernel.errors import IllegalTransition

S = TypeVar("S", bound=StrEnum)
T = TypeVar("T", bound=StrEnum)


# No slots: `TransitionTable[State, Trigger](…)` notes its type arguments on the new object.
@dataclass(frozen=True)
class TransitionTable(Generic[S, T]):
    """`edges[(state, trigger)]` is the next state; what is absent is refused with both names."""

    noun: str
    edges: Mapping[tuple[S, T], S]

    def next(self, state: S, trigger: T) -> S:
        try:
            return self.edges[(state, trigger)]
        except KeyError:
            raise IllegalTransition(f"A {self.noun} that is {state} cannot {trigger}.") from None

    def allows(self, state: S, trigger: T) -> bool:
        return (state, trigger) in self.edges

    def as_mermaid(self) -> str:
        """Draw the table as a state diagram, sorted, for the room's README."""
        lines = sorted(
            f"    {source} --> {target}: {trigger}" for (source, trigger), target in self.edges.items()
        )
        return "\n".join(["stateDiagram-v2", *lines])
