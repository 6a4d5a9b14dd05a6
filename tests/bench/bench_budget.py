"""What the budget check adds to a gateway call. Prints JSON.

Run: `python -m tests.bench.bench_budget`. The check is made where a key is looked up, which Envoy asks for once in
two seconds for each key and worker thread, not at each call: the figure is of one lookup, with and without budgets
of as many tenants as said, in one process without network. The whole call is measured by bench_gateway.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from controlplane.gateway.domain import ApiKey, BudgetState, KeySnapshot
from controlplane.gateway.key_rules import KeyRefusal, decide_budget, decide_key, hash_key
from controlplane.identity import key_rules as identity
from controlplane.identity.domain import KeyKind
from controlplane.kernel.keyring import Keyring
from tests.bench.common import quantiles

PEPPER = b"p" * 32
LOOKUPS_A_RUN = 500
RUNS = 101
# authorize.lua: a verified key is used without asking for so long.
FRESH_SECONDS = 2


def measure(look_up: Callable[[], object]) -> float:
    """CPU microseconds of one lookup."""
    began = time.thread_time_ns()
    for _ in range(LOOKUPS_A_RUN):
        look_up()
    return (time.thread_time_ns() - began) / LOOKUPS_A_RUN / 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    count = parser.parse_args().tenants
    now = datetime.now(UTC)
    key = identity.build_key(KeyKind.SVC, "local", bytes(range(identity.RANDOM_BYTES)))
    digest = hash_key(PEPPER, key)
    owner = ApiKey(
        key_id="key_1",
        hash=digest,
        tenant_id="org_1",
        project_id="prj_1",
        expires_at=None,
        scopes=("inference",),
    )
    keys = KeySnapshot("1", now, {digest: owner})
    others = frozenset(f"org_other_{number}" for number in range(count))
    budgets = BudgetState("1", now, others, others, others | {"org_1"}, others)

    def decide(held: BudgetState | None) -> ApiKey | KeyRefusal:
        found = decide_key(keys, Keyring.single(PEPPER), key, now)
        return found if isinstance(found, KeyRefusal) else decide_budget(found, held, now) or found

    without, with_budgets = [], []
    for _ in range(RUNS):
        # In turn, so that a busy machine is as busy for one as for the other.
        without.append(measure(lambda: decide(None)))
        with_budgets.append(measure(lambda: decide(budgets)))
    assert decide(budgets) == owner
    # The least of each: what the lookup costs when nothing disturbs it.
    added = min(with_budgets) - min(without)
    document = {
        "tenants_with_budgets": count,
        "lookup_cpu_us_without": quantiles(without),
        "lookup_cpu_us_with": quantiles(with_budgets),
        "added_cpu_us_a_lookup": round(added, 3),
        "lookups": f"one in {FRESH_SECONDS} s for each key and Envoy worker",
        "added_cpu_us_a_call_at_100_calls_per_second_and_key": round(added / (100 * FRESH_SECONDS), 5),
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
