"""The supervisor's decisions: order, selection, back-off, and the table of states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.process_rules import (
    BACKOFF_SECONDS_MAX,
    CRASHES_MAX,
    TRANSITIONS,
    DependencyCycle,
    Event,
    State,
    UnknownDependency,
    decide_next,
    decide_order,
    decide_pause,
    decide_selection,
)


@st.composite
def acyclic_needs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Programs named p0…pn, each needing some of those before it, listed in any order."""
    count = draw(st.integers(1, 12))
    needs = {
        f"p{i}": draw(st.lists(st.sampled_from([f"p{j}" for j in range(i)]))) if i else []
        for i in range(count)
    }
    return {name: needs[name] for name in draw(st.permutations(list(needs)))}


class TestOrder:
    @given(acyclic_needs())
    def test_each_program_starts_behind_all_it_needs(self, needs: dict[str, list[str]]) -> None:
        order = decide_order(needs)
        assert sorted(order) == sorted(needs)
        for name, wanted in needs.items():
            assert all(order.index(other) < order.index(name) for other in wanted)

    def test_a_circle_is_refused_with_its_names(self) -> None:
        with pytest.raises(DependencyCycle, match="a, b"):
            decide_order({"a": ["b"], "b": ["a"], "c": []})

    def test_a_need_outside_the_stack_is_refused_with_its_name(self) -> None:
        with pytest.raises(UnknownDependency, match="api needs database"):
            decide_order({"api": ["database"]})


class TestSelection:
    @given(acyclic_needs(), st.data())
    def test_a_selection_can_always_start(self, needs: dict[str, list[str]], data: st.DataObject) -> None:
        wanted = data.draw(st.sets(st.sampled_from(sorted(needs))))
        chosen = decide_selection(needs, wanted)
        assert wanted <= chosen
        assert sorted(decide_order({name: needs[name] for name in chosen})) == sorted(chosen)

    def test_an_unknown_name_is_answered_with_what_there_is(self) -> None:
        with pytest.raises(UnknownDependency, match="there is no apy; there are api, redis"):
            decide_selection({"api": [], "redis": []}, ["apy"])


class TestPause:
    def test_restarts_are_bounded(self) -> None:
        pauses = [decide_pause(crashes) for crashes in range(1, CRASHES_MAX + 1)]
        assert pauses[:3] == [0.5, 1.0, 2.0]
        assert pauses[-1] is None
        given_pauses = [pause for pause in pauses if pause is not None]
        assert given_pauses == sorted(given_pauses)
        assert max(given_pauses) == BACKOFF_SECONDS_MAX


class TestStates:
    def test_every_state_but_stopped_can_be_stopped(self) -> None:
        stoppable = {state for (state, event) in TRANSITIONS if event is Event.STOP}
        assert stoppable == set(State) - {State.STOPPED, State.STOPPING}
        assert decide_next(State.STOPPING, Event.GONE) is State.STOPPED

    def test_every_state_is_reached_from_waiting(self) -> None:
        reached = {State.WAITING}
        for _ in State:
            reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
        assert reached == set(State)

    def test_a_stopped_program_does_nothing_more(self) -> None:
        assert not [event for (state, event) in TRANSITIONS if state is State.STOPPED]
