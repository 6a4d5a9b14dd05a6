"""What a service needs next, as tables and properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.deployments.convergence_rules import (
    MOVE_SECONDS_MAX,
    ROUTE_DRAIN_SECONDS,
    decide_refused_at,
    decide_route,
    decide_service_status,
    decide_stops,
    find_path,
    find_wanted,
    is_refused,
    mirror_status,
    needs_place,
)
from controlplane.deployments.domain import (
    APPLIED,
    ENDED,
    LIVE,
    READY,
    RUN_TRANSITIONS,
    SERVICE_TRANSITIONS,
    RegionalDeployment,
    RouteState,
    RunStatus,
    ServiceStatus,
)
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
        switch = decide_route(wanted, parts, NOW)
        if switch is not None:
            assert switch.target.verdict.is_admissible
            assert switch.target.deployment_id == LATEST
            assert switch.target.status in APPLIED

    @given(parts_of_a_service())
    def test_a_place_that_may_serve_is_left_only_for_one_that_is_ready(
        self, parts: list[RegionalDeployment]
    ) -> None:
        switch = decide_route(find_wanted(parts, deployment()), parts, NOW)
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

    def test_first_part_has_the_route_as_soon_as_its_cell_was_told(self) -> None:
        assert decide_route(part(status=RunStatus.PROVISIONING), [], NOW) is None
        new = part(status=RunStatus.SCHEDULED)
        switch = decide_route(new, [new], NOW)
        assert switch is not None
        assert switch.source is None


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
