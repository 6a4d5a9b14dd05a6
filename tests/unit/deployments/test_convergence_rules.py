"""What a service needs next, as tables and properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.deployments.convergence_rules import (
    LEFT_POOL_SECONDS,
    MOVE_SECONDS_MAX,
    ROUTE_DRAIN_SECONDS,
    START_SECONDS_MAX,
    STUCK_SECONDS,
    UNHEALTHY_SECONDS_MAX,
    decide_refused_at,
    decide_route,
    decide_service_status,
    decide_stops,
    find_path,
    find_wanted,
    find_wish,
    has_failed,
    is_refused,
    is_stuck,
    list_left_pools,
    mirror_status,
    needs_place,
)
from controlplane.deployments.domain import (
    APPLIED,
    ENDED,
    LEAVING,
    LIVE,
    READY,
    RUN_TRANSITIONS,
    SERVICE_TRANSITIONS,
    RegionalDeployment,
    RouteState,
    RunStatus,
    ServiceStatus,
)
from controlplane.deployments.message_rules import describe_deployment, describe_service, find_telling
from controlplane.kernel.errors import IllegalTransition
from tests.unit.deployments.parts import LATEST, NOW, OLDER, deployment, part, service

README = Path(__file__).resolve().parents[3] / "controlplane" / "deployments" / "README.md"
SECONDS = st.integers(0, 100_000)
STATUSES = st.sampled_from(sorted(set(RunStatus) - {RunStatus.PENDING}))


@st.composite
def parts_of_a_service(draw: st.DrawFn) -> list[RegionalDeployment]:
    """Any parts that the database allows: at most one route is active."""
    made = []
    has_active = False
    for number in range(draw(st.integers(0, 4))):
        is_admissible = draw(st.booleans())
        route = draw(st.sampled_from(list(RouteState)))
        if route is RouteState.ACTIVE and has_active:
            route = RouteState.NONE
        has_active = has_active or route is RouteState.ACTIVE
        since = NOW - timedelta(seconds=draw(SECONDS))
        made.append(
            part(
                number,
                is_admissible=is_admissible,
                status=draw(STATUSES),
                route_state=route,
                deployment_id=draw(st.sampled_from([OLDER, LATEST])),
                draining_since=since if route is RouteState.DRAINING else None,
                violated_at=None if is_admissible else since,
                refused_at=None if is_admissible else since + timedelta(seconds=draw(SECONDS)),
                ready_at=draw(st.sampled_from([None, NOW])),
                blocked_since=draw(st.sampled_from([None, since])),
            )
        )
    return made


class TestTables:
    def test_status_tables_are_drawn_in_the_readme(self) -> None:
        text = README.read_text()
        assert RUN_TRANSITIONS.as_mermaid() in text
        assert SERVICE_TRANSITIONS.as_mermaid() in text

    @given(st.sampled_from(RunStatus), st.sampled_from(RunStatus))
    def test_path_takes_only_steps_of_the_table(self, source: RunStatus, target: RunStatus) -> None:
        try:
            path = find_path(RUN_TRANSITIONS, source, target)
        except IllegalTransition:
            return
        state = source
        for trigger in path:
            state = RUN_TRANSITIONS.next(state, trigger)
        assert state is target

    def test_nothing_leaves_deleted_and_nothing_revives_a_canceled_deployment(self) -> None:
        assert not [edge for edge in SERVICE_TRANSITIONS.edges if edge[0] is ServiceStatus.DELETED]
        assert not [edge for edge in RUN_TRANSITIONS.edges if edge[0] is RunStatus.CANCELED]

    @given(st.sampled_from(sorted(LIVE)))
    def test_every_live_status_can_be_stopped_and_refused(self, status: RunStatus) -> None:
        assert find_path(RUN_TRANSITIONS, status, RunStatus.STOPPED)
        assert find_path(RUN_TRANSITIONS, status, RunStatus.ERROR)


class TestRoute:
    @given(parts_of_a_service())
    def test_traffic_only_moves_to_an_admissible_place(self, parts: list[RegionalDeployment]) -> None:
        wanted = find_wanted(parts, deployment())
        switch = decide_route(wanted, parts, NOW, is_proven=True)
        if switch is not None:
            assert switch.target.verdict.is_admissible
            assert switch.target.deployment_id == LATEST
            assert switch.target.status in APPLIED

    @given(parts_of_a_service())
    def test_a_place_that_may_serve_is_left_only_for_one_that_is_ready(
        self, parts: list[RegionalDeployment]
    ) -> None:
        switch = decide_route(find_wanted(parts, deployment()), parts, NOW, is_proven=True)
        if switch is not None and switch.source is not None:
            source = switch.source
            assert switch.target.status in READY or not source.is_live or is_refused(source, NOW)

    @given(parts_of_a_service())
    def test_the_part_with_the_traffic_is_stopped_only_when_refused(
        self, parts: list[RegionalDeployment]
    ) -> None:
        for stop in decide_stops(service(), find_wanted(parts, deployment()), parts, NOW):
            if stop.part.route_state is RouteState.ACTIVE:
                assert is_refused(stop.part, NOW)

    @given(parts_of_a_service())
    def test_draining_part_lives_until_calls_have_ended(self, parts: list[RegionalDeployment]) -> None:
        wanted = find_wanted(parts, deployment())
        stopped = {stop.part.id for stop in decide_stops(service(), wanted, parts, NOW)}
        for each in parts:
            if each.route_state is RouteState.DRAINING and each.is_live and each != wanted:
                assert each.draining_since is not None
                is_over = NOW - each.draining_since >= timedelta(seconds=ROUTE_DRAIN_SECONDS)
                assert (each.id in stopped) is is_over

    @given(parts_of_a_service(), st.sampled_from([ServiceStatus.PAUSING, ServiceStatus.DELETING]))
    def test_paused_and_deleted_services_stop_everything(
        self, parts: list[RegionalDeployment], status: ServiceStatus
    ) -> None:
        stops = decide_stops(service(status=status), None, parts, NOW)
        assert {stop.part.id for stop in stops} == {each.id for each in parts if each.is_live}

    @pytest.mark.case("S5")
    @given(parts_of_a_service())
    def test_no_version_has_traffic_before_it_was_ready_once(self, parts: list[RegionalDeployment]) -> None:
        switch = decide_route(find_wanted(parts, deployment()), parts, NOW, is_proven=False)
        if switch is not None:
            assert switch.target.ready_at is not None
            assert switch.target.status in READY

    @pytest.mark.case("S5")
    @pytest.mark.parametrize("status", sorted(APPLIED))
    def test_proven_version_is_waited_for_by_its_callers_and_a_new_one_is_not(
        self, status: RunStatus
    ) -> None:
        new = part(status=status)
        resumed = decide_route(new, [new], NOW, is_proven=True)
        assert resumed is not None
        assert resumed.source is None
        assert decide_route(new, [new], NOW, is_proven=False) is None
        ready = replace(new, ready_at=NOW)
        assert (decide_route(ready, [ready], NOW, is_proven=False) is not None) is (status in READY)
        assert decide_route(part(status=RunStatus.PROVISIONING), [], NOW, is_proven=True) is None


class TestRefusal:
    @given(SECONDS, st.booleans())
    def test_unknown_end_of_grace_is_refused(self, grace: int, has_target: bool) -> None:
        refused = replace(part(is_admissible=False), refused_at=None)
        assert is_refused(refused, NOW)
        until = decide_refused_at(refused, has_target=has_target, grace_seconds=grace)
        assert until is not None
        assert is_refused(replace(refused, refused_at=until), until)

    def test_without_grace_and_target_the_refusal_is_immediate(self) -> None:
        lost = part(is_admissible=False)
        assert decide_refused_at(lost, has_target=False, grace_seconds=0) == NOW
        until = decide_refused_at(lost, has_target=True, grace_seconds=0)
        assert until == NOW + timedelta(seconds=MOVE_SECONDS_MAX)
        assert decide_refused_at(part(), has_target=False, grace_seconds=0) is None


class TestPlacing:
    CASES = (
        ("nothing yet", [], RunStatus.PENDING, True),
        ("placed", [part(status=RunStatus.PROVISIONING)], RunStatus.PROVISIONING, False),
        ("only the older one runs", [part(deployment_id=OLDER)], RunStatus.PENDING, True),
        ("no longer admissible", [part(is_admissible=False)], RunStatus.HEALTHY, True),
        ("gone", [part(status=RunStatus.STOPPED)], RunStatus.PENDING, True),
        ("given up", [], RunStatus.CANCELED, False),
        ("refused for good", [], RunStatus.ERROR, False),
    )

    @pytest.mark.parametrize(("_", "parts", "status", "is_needed"), CASES, ids=[case[0] for case in CASES])
    def test_a_place_is_looked_for(
        self, _: str, parts: list[RegionalDeployment], status: RunStatus, is_needed: bool
    ) -> None:
        latest = deployment(status=status)
        assert needs_place(service(), latest, parts, None, NOW) is is_needed
        assert needs_place(service(status=ServiceStatus.PAUSED), latest, parts, None, NOW) is False

    def test_a_refusal_by_the_cell_is_not_repeated_at_once(self) -> None:
        assert needs_place(service(), deployment(), [], NOW - timedelta(seconds=5), NOW) is False
        assert needs_place(service(), deployment(), [], NOW - timedelta(seconds=90), NOW) is True


class TestMirror:
    @given(parts_of_a_service(), st.sampled_from(RunStatus), st.booleans())
    def test_mirrored_status_is_one_the_table_can_reach(
        self, parts: list[RegionalDeployment], status: RunStatus, is_wanted: bool
    ) -> None:
        before = deployment(status=status)
        find_path(RUN_TRANSITIONS, status, mirror_status(before, parts, is_wanted=is_wanted))

    @given(parts_of_a_service(), st.sampled_from(ServiceStatus))
    def test_service_status_is_one_the_table_can_reach(
        self, parts: list[RegionalDeployment], status: ServiceStatus
    ) -> None:
        find_path(
            SERVICE_TRANSITIONS,
            status,
            decide_service_status(service(status=status), deployment(), parts, NOW),
        )

    def test_waking_from_zero_is_healthy_and_a_first_start_is_not(self) -> None:
        waking = part(status=RunStatus.STARTING, route_state=RouteState.ACTIVE, ready_at=NOW)
        first = replace(waking, ready_at=None)
        status = service(status=ServiceStatus.STARTING)
        assert decide_service_status(status, deployment(), [waking], NOW) is ServiceStatus.HEALTHY
        assert decide_service_status(status, deployment(), [first], NOW) is ServiceStatus.STARTING

    @given(st.sampled_from(sorted(ENDED)))
    def test_ended_deployment_stays_as_it_ended(self, status: RunStatus) -> None:
        assert mirror_status(deployment(status=status), [], is_wanted=True) is status


SERVING = part(1, deployment_id=OLDER, route_state=RouteState.ACTIVE, ready_at=NOW)
LONG_AGO = NOW - timedelta(days=1)


@pytest.mark.case("S5")
class TestGivingUp:
    @pytest.mark.parametrize("status", sorted(LIVE - READY))
    def test_version_that_never_was_ready_ends_within_its_time_while_another_serves(
        self, status: RunStatus
    ) -> None:
        seconds = UNHEALTHY_SECONDS_MAX if status is RunStatus.UNHEALTHY else START_SECONDS_MAX
        new = part(2, status=status, blocked_since=NOW)
        at_bound = NOW + timedelta(seconds=seconds)
        assert has_failed(new, [SERVING, new], at_bound)
        assert not has_failed(new, [SERVING, new], at_bound - timedelta(seconds=1))

    def test_version_that_was_ready_or_is_alone_is_not_given_up(self) -> None:
        new = part(2, status=RunStatus.UNHEALTHY, blocked_since=LONG_AGO)
        assert not has_failed(replace(new, ready_at=LONG_AGO), [SERVING, new], NOW)
        assert not has_failed(new, [new], NOW)
        refused = replace(SERVING, verdict=part(is_admissible=False).verdict)
        assert not has_failed(new, [refused, new], NOW)

    @pytest.mark.parametrize("status", sorted(ENDED | LEAVING))
    def test_what_serves_is_wanted_again_once_its_follower_was_given_up(self, status: RunStatus) -> None:
        older = deployment(id=OLDER, number=1, status=RunStatus.HEALTHY)
        assert find_wish(deployment(status=status), older) is older
        assert find_wish(deployment(status=status), None).id == LATEST
        assert find_wish(deployment(), older).id == LATEST
        wish = find_wish(deployment(status=status), older)
        assert find_wanted([SERVING], wish) == SERVING
        assert decide_stops(service(), SERVING, [SERVING], NOW) == ()


@pytest.mark.case("F5")
class TestBlockedParts:
    @pytest.mark.parametrize("status", sorted(LIVE))
    @pytest.mark.parametrize("ready_at", [None, LONG_AGO])
    @pytest.mark.parametrize("route", list(RouteState))
    def test_part_that_cannot_run_is_placed_elsewhere_within_its_bound_in_every_state(
        self, status: RunStatus, ready_at: datetime | None, route: RouteState
    ) -> None:
        blocked = part(status=status, ready_at=ready_at, route_state=route, blocked_since=NOW)
        is_of_the_place = status in STUCK_SECONDS and (
            status is not RunStatus.UNHEALTHY or ready_at is not None
        )
        at_bound = NOW + timedelta(seconds=STUCK_SECONDS.get(status, 86_400))
        before = at_bound - timedelta(seconds=1)
        for serving in (
            ServiceStatus.STARTING,
            ServiceStatus.HEALTHY,
            ServiceStatus.UNHEALTHY,
            ServiceStatus.RESUMING,
        ):
            of = service(status=serving)
            assert needs_place(of, deployment(status=status), [blocked], None, at_bound) is is_of_the_place
            assert needs_place(of, deployment(status=status), [blocked], None, before) is False
        assert (blocked.placement.pool_id in list_left_pools([blocked], at_bound)) is is_of_the_place

    @given(parts_of_a_service())
    def test_part_that_serves_or_sleeps_is_never_left(self, parts: list[RegionalDeployment]) -> None:
        for each in parts:
            if each.status in READY:
                assert not is_stuck(each, NOW)

    def test_pool_that_was_left_is_not_chosen_again_at_once_and_others_that_ended_are_no_reason(self) -> None:
        left = part(status=RunStatus.CANCELED, blocked_since=LONG_AGO, updated_at=NOW)
        assert list_left_pools([left], NOW) == {left.placement.pool_id}
        assert list_left_pools([left], NOW + timedelta(seconds=LEFT_POOL_SECONDS + 1)) == frozenset()
        assert list_left_pools([replace(left, blocked_since=None)], NOW) == frozenset()


class TestMessages:
    @pytest.mark.case("F5")
    @pytest.mark.parametrize("status", sorted(STUCK_SECONDS))
    def test_part_that_cannot_run_says_why_and_what_is_done_about_it(self, status: RunStatus) -> None:
        said = ("no node fits",) if status in APPLIED - {RunStatus.SCHEDULED} else ()
        blocked = part(status=status, blocked_since=LONG_AGO, ready_at=LONG_AGO, messages=said)
        [why, way_out] = describe_deployment(deployment(), [blocked], NOW)
        assert why.startswith("essonne-1: ")
        assert "No other place" in way_out
        elsewhere = part(2, status=RunStatus.STARTING, blocked_since=NOW)
        active = replace(blocked, route_state=RouteState.ACTIVE)
        assert "instead" in describe_deployment(deployment(), [active, elsewhere], NOW)[1]

    @pytest.mark.case("S8")
    @given(parts_of_a_service())
    def test_no_message_outlives_its_cause(self, parts: list[RegionalDeployment]) -> None:
        told = deployment(status=RunStatus.HEALTHY, messages=("None of 17 pools can take it.",))
        telling = find_telling(told, parts)
        messages = describe_deployment(told, parts, NOW)
        if telling is not None and telling.status in READY:
            assert messages == ()
        canceled = deployment(status=RunStatus.CANCELED, messages=("None of 17 pools can take it.",))
        assert describe_deployment(canceled, [], NOW) == ()

    @pytest.mark.case("S8")
    @pytest.mark.parametrize("status", sorted(RunStatus))
    def test_service_tells_the_story_of_what_serves_and_of_what_follows_it(self, status: RunStatus) -> None:
        active = deployment(id=OLDER, number=1, status=RunStatus.HEALTHY)
        latest = deployment(status=status, messages=("it has no room",))
        said = describe_service(latest, active, is_running=True, waits=[])
        assert len(said) == 1
        assert said[0].startswith("Deployment 2 ")
        assert "deployment 1 goes on" in said[0]
        assert describe_service(active, active, is_running=True, waits=[]) == ()
        assert describe_service(latest, None, is_running=True, waits=["w"]) == ("it has no room", "w")
        assert describe_service(latest, active, is_running=False, waits=["w"]) == ()
