"""The supervisor's decisions: order, selection, back-off, and the table of states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.process_rules import (
    BACKOFF_SECONDS_FIRST,
    BACKOFF_SECONDS_MAX,
    START_CRASHES_MAX,
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
    @pytest.mark.case("S1")
    @pytest.mark.case("X24")
    @given(st.integers(1, 10**9))
    def test_what_was_up_is_never_given_up(self, crashes: int) -> None:
        pause = decide_pause(crashes, is_starting=False)
        assert pause is not None
        assert BACKOFF_SECONDS_FIRST <= pause <= BACKOFF_SECONDS_MAX
        later = decide_pause(crashes + 1, is_starting=False)
        assert later is not None
        assert pause < later or pause == BACKOFF_SECONDS_MAX

    def test_a_start_is_given_up_after_a_few_tries(self) -> None:
        pauses = [decide_pause(crashes, is_starting=True) for crashes in range(1, START_CRASHES_MAX + 1)]
        assert pauses == [0.5, 1.0, 2.0, None]


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
