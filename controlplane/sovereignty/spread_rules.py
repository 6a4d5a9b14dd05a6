"""How control spreads downwards from a set of entities: one least fixpoint, asked in three ways.

CERTAIN: more than half of the votes that can be cast, added up over all members (holders of one interest decide
together, art. L233-3 III, L233-10), the appointment of most of the board, dominance by contract, or one actor with
exactly half beside one other with the other half.
POSSIBLE: the same, should every vote that nobody declared be theirs; and whom art. L233-3 II presumes to control: one
actor with more than 40 % of the votes while no other one has more.
PROVEN: the members' own votes alone make more than half; or one member is presumed to control while all who are not
proven have no more than half together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty.graph_rules import can_control, share_bp, undeclared_bp
from controlplane.sovereignty.voting_rules import Voting, is_company

# Art. L233-3 II, in hundredths.
PRESUMED_ABOVE: Final = 40


class Mode(StrEnum):
    """Which question is asked; see the module."""

    CERTAIN = "certain"
    POSSIBLE = "possible"
    PROVEN = "proven"


@dataclass(slots=True)
class _Count:
    """The votes in one company: of all members, of their floats, of each member actor, and of every actor."""

    castable: int
    undeclared: int
    totals: list[tuple[int, LegalEntityId]]
    members: int = 0
    floats: int = 0
    by_actor: dict[LegalEntityId, int] = field(default_factory=dict)
    passed: int = 0

    def best_other(self, members: dict[LegalEntityId, None]) -> int:
        """The votes of the strongest actor that is no member; the cursor only ever moves on."""
        while self.passed < len(self.totals) and self.totals[self.passed][1] in members:
            self.passed += 1
        return self.totals[self.passed][0] if self.passed < len(self.totals) else 0


def spread_control(
    voting: Voting,
    starts: Iterable[LegalEntityId],
    mode: Mode,
    may_join: Callable[[LegalEntityId], bool] = lambda _: True,
) -> dict[LegalEntityId, None]:
    """Return the starts and all companies that they hold, in the order in which they join."""
    return _Spread(voting, mode, may_join).run(starts)


class _Spread:
    def __init__(self, voting: Voting, mode: Mode, may_join: Callable[[LegalEntityId], bool]) -> None:
        self._voting, self._mode, self._may_join = voting, mode, may_join
        self._members: dict[LegalEntityId, None] = {}
        self._counts: dict[LegalEntityId, _Count] = {}
        # Whom a company counts for that one actor is presumed to control.
        self._taken_by: dict[LegalEntityId, LegalEntityId] = {}

    def run(self, starts: Iterable[LegalEntityId]) -> dict[LegalEntityId, None]:
        graph = self._voting.graph
        self._members.update(dict.fromkeys(starts))
        queue = list(self._members)
        if self._mode is Mode.POSSIBLE:
            for held in sorted({*graph.entities, *graph.holders_of}):
                if undeclared_bp(graph, held, "votes"):
                    self._try_to_join(held, False, queue)
        for holder in queue:
            for holding in graph.held_by.get(holder, ()):
                held = holding.held_id
                if held in self._members or not is_company(graph, held) or not self._may_join(held):
                    continue
                if self._voting.is_cast(holding):
                    self._add_votes(held, holder, share_bp(holding, "votes"))
                rules = holding.appoints_board_majority or holding.has_dominance
                self._try_to_join(held, rules and can_control(graph, holder), queue)
        return self._members

    def _count(self, held: LegalEntityId) -> _Count:
        if held not in self._counts:
            totals: dict[LegalEntityId, int] = {}
            for holding in self._voting.graph.holders_of.get(held, ()):
                if self._voting.is_cast(holding):
                    for actor in self._voting.actors_of(holding.holder_id):
                        totals[actor] = totals.get(actor, 0) + share_bp(holding, "votes")
            ordered = sorted(((votes, actor) for actor, votes in totals.items()), reverse=True)
            self._counts[held] = _Count(
                self._voting.castable_bp(held), undeclared_bp(self._voting.graph, held, "votes"), ordered
            )
        return self._counts[held]

    def _add_votes(self, held: LegalEntityId, holder: LegalEntityId, votes: int) -> None:
        count = self._count(held)
        count.members += votes
        if not can_control(self._voting.graph, holder):
            count.floats += votes
        for actor in {self._root(actor) for actor in self._voting.actors_of(holder)}:
            count.by_actor[actor] = count.by_actor.get(actor, 0) + votes

    def _root(self, actor: LegalEntityId) -> LegalEntityId:
        while actor in self._taken_by:
            actor = self._taken_by[actor]
        return actor

    def _try_to_join(self, held: LegalEntityId, is_ruled: bool, queue: list[LegalEntityId]) -> None:
        if held in self._members or not is_company(self._voting.graph, held):
            return
        count = self._count(held)
        if not (is_ruled or self._have_majority(count)):
            if not self._are_presumed(count):
                return
            if count.by_actor:
                self._taken_by[held] = max(count.by_actor, key=lambda actor: (count.by_actor[actor], actor))
        self._members[held] = None
        queue.append(held)

    def _have_majority(self, count: _Count) -> bool:
        votes = count.members
        if self._mode is Mode.POSSIBLE:
            votes += count.undeclared
        elif self._mode is Mode.PROVEN:
            votes -= count.floats
        return 2 * votes > count.castable

    def _are_presumed(self, count: _Count) -> bool:
        best = max(count.by_actor.values(), default=0)
        other = count.best_other(self._members)
        if self._mode is Mode.CERTAIN:
            return 2 * best == count.castable == 2 * other > 0
        if self._mode is Mode.POSSIBLE:
            best += count.undeclared
            return 100 * best > PRESUMED_ABOVE * count.castable and best >= other
        rest = count.castable - count.members
        return (
            100 * best > PRESUMED_ABOVE * count.castable
            and best > other + count.undeclared
            and 2 * rest <= count.castable
        )
