"""Every process is killed while tenants work: nothing acknowledged is lost, nothing is done twice, all converges.

Replay a run with CRASH_SEED; ROUNDS makes a longer campaign and FAULT_REPEATS a denser one. The seed decides
what is hit in which order and after which pauses; what each process was doing at that instant is the
machine's.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controlplane.plumbing.database import Database, UnitOfWork
from tests.simulation import checks
from tests.simulation.faults import PROGRAMS, Saboteur, plan_faults
from tests.simulation.local_stack import LocalStack, running_stack
from tests.simulation.tenants import (
    SITES,
    Caller,
    definition,
    operator_of,
    register_pool,
    register_site,
    sign_up,
)

PARTS = ("api", "worker", "relay", "beat", "watcher", "operators", "kubernetes")
ROUNDS_DEFAULT = 1
SERVICES_A_ROUND = 24
TENANTS_A_ROUND = 3
# Each fault this often a round; with more, a second one may hit what still recovers from the first.
FAULT_REPEATS = int(os.environ.get("FAULT_REPEATS", "1"))
# A leased delivery comes back after 10 s, a killed program within seconds; the rest is room for a busy machine.
SETTLED_SECONDS_MAX = 90.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A service and what its tenant does to it after it was created."""

    caller: Caller
    name: str
    country: str
    then: str


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(tmp_path_factory.mktemp("crash") / "stack", PARTS) as running:
        yield running


@pytest.fixture(scope="module")
def seed() -> int:
    chosen = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    print(f"\nCRASH_SEED={chosen} ROUNDS={os.environ.get('ROUNDS', ROUNDS_DEFAULT)}", flush=True)
    return chosen


def create_and_change(wish: Wish) -> tuple[str, str]:
    """Create a service and act on it; return its name and the status it must end in."""
    body = {
        "app_id": wish.caller.post("/v1/apps", {"name": wish.name}, f"app-{wish.name}")["app"]["id"],
        "definition": definition(wish.name, wish.country),
    }
    service = wish.caller.post("/v1/services", body, f"service-{wish.name}")["service"]
    path = f"/v1/services/{service['id']}"
    if wish.then == "redeploy":
        wish.caller.post(f"{path}/redeploy", None, f"redeploy-{wish.name}")
    elif wish.then == "delete":
        wish.caller.delete_service(service["id"])
        return wish.name, "DELETED"
    elif wish.then == "pause":
        wish.caller.post(f"{path}/pause", None, f"pause-{wish.name}")
        return wish.name, "PAUSED"
    return wish.name, "HEALTHY"


def make_wishes(callers: list[Caller], number: int, source: random.Random) -> list[Wish]:
    acts = ["keep", "keep", "redeploy", "delete", "pause", "keep"]
    countries = list(SITES.values())
    return [
        Wish(
            callers[index % len(callers)],
            f"s{number}-{index}",
            countries[index % len(countries)],
            source.choice(acts) if index >= len(acts) else acts[index],
        )
        for index in range(SERVICES_A_ROUND)
    ]


def run_round(
    stack: LocalStack, number: int, source: random.Random
) -> tuple[list[Caller], dict[str, str], Saboteur]:
    """Sign up, then create, change and grow while everything is killed in turn."""
    callers = [sign_up(stack, f"tenant-{number}-{index}") for index in range(TENANTS_A_ROUND)]
    wishes = make_wishes(callers, number, source)
    saboteur = Saboteur(stack, source)
    operator = operator_of(stack)
    with ThreadPoolExecutor(TENANTS_A_ROUND + 1) as pool:
        # One thread for each tenant, as one HTTP connection has one user.
        work = [
            pool.submit(
                lambda mine: [create_and_change(wish) for wish in mine], wishes[index::TENANTS_A_ROUND]
            )
            for index in range(TENANTS_A_ROUND)
        ]
        grown = pool.submit(register_pool, operator, "essonne-1", f"grown-{number}", 1)
        saboteur.run(plan_faults(source, FAULT_REPEATS))
        outcomes = dict(pair for each in work for pair in each.result())
        grown.result()
    operator.close()
    return [*callers, operator], outcomes, saboteur


def assert_replays(callers: list[Caller]) -> None:
    """Each acknowledged POST, sent once more, gives its first answer and does nothing."""
    for caller in callers:
        for ack in caller.acks:
            again = caller.replay(ack)
            assert again.headers["Idempotent-Replayed"] == "true", ack.path
            assert (again.json() if again.content else {}) == ack.answer, ack.path
        caller.close()


@dataclass(slots=True)
class Campaign:
    """What was promised so far, and whether the stack keeps it."""

    stack: LocalStack
    database: Database
    callers: list[Caller]
    wanted: dict[str, str] = field(default_factory=dict)

    def find_problems(self, uow: UnitOfWork) -> list[str]:
        acks = [ack for caller in self.callers for ack in caller.acks]
        return [
            *checks.find_service_problems(uow, self.wanted),
            *checks.find_deployment_problems(uow, acks),
            *checks.find_row_problems(uow),
            *checks.find_cluster_problems(uow, self.stack),
            *checks.find_interval_problems(uow, self.stack),
        ]

    def wait_until_settled(self) -> float:
        return checks.wait_until_settled(self.database, self.find_problems, SETTLED_SECONDS_MAX)

    def run(self, number: int, source: random.Random) -> dict[str, float]:
        """One round: fire, peace, every promise checked; returns its figures."""
        began = time.monotonic()
        callers, outcomes, saboteur = run_round(self.stack, number, source)
        under_fire = time.monotonic() - began
        self.callers += callers
        self.wanted |= outcomes
        settled = self.wait_until_settled()
        assert_replays(callers)
        # The replays changed nothing either.
        self.wait_until_settled()
        acks = [ack for caller in callers for ack in caller.acks]
        return {
            "round": number,
            "faults": sum(saboteur.done.values()),
            "acknowledged": len(acks),
            "tries_max": max(ack.tries for ack in acks),
            "under_fire_s": round(under_fire, 1),
            "settled_after_s": round(settled, 1),
        }


def test_nothing_acknowledged_is_lost_or_done_twice_while_every_process_is_killed(
    stack: LocalStack, seed: int
) -> None:
    rounds = int(os.environ.get("ROUNDS", ROUNDS_DEFAULT))
    source = random.Random(seed)
    operator = operator_of(stack)
    for code, country in SITES.items():
        register_site(operator, code, country)
        register_pool(operator, code, f"{code}-b300", 2 + 2 * rounds)
    campaign = Campaign(stack, Database(stack.settings), [operator])
    campaign.wait_until_settled()
    figures = []
    for number in range(rounds):
        if number:
            # A clean restart makes each program's next crash a first one again, for the supervisor's patience.
            for name in (*PROGRAMS, "redis"):
                stack.restart(name)
        figures.append(campaign.run(number, source))
        print(json.dumps(figures[-1]), flush=True)
    campaign.database.dispose()
    keep_figures(seed, figures)


def keep_figures(seed: int, figures: list[dict[str, float]]) -> None:
    """Left for docs/performance.md; nothing reads it."""
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    simulated = "GPU nodes (KWOK); every process and every kill is real"
    document = {"seed": seed, "simulated": simulated, "rounds": figures}
    (folder / "crashes.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
