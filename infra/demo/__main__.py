"""`python -m infra.demo`: start the stack, tell the story, leave the artefacts, stop everything."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from controlplane.sdk import ApiError
from infra.demo import budget, calls, closing, fleet, gpus, kubernetes, portal, tenant, usage
from infra.demo.as_code import AsCode
from infra.demo.stage import Stage, opened_stage, stop_kept_stack
from infra.demo.teller import StoryBroken, Teller

FOLDER = Path("build/demo")


def tell_story(teller: Teller, stage: Stage) -> None:
    with teller.chapter(1, "The platform operator registers datacenters and machines"):
        fleet.tell(teller, stage)
    with teller.chapter(2, "A French company signs up"):
        customer = tenant.sign_up(teller, stage)
    with teller.chapter(3, "It deploys under a sovereignty requirement"):
        tenant.deploy(teller, customer)
        tenant.deploy_unplaceable(teller, stage, customer)
    with teller.chapter(4, "The first call wakes a real model"):
        calls.tell(teller, stage, customer)
    with teller.chapter(5, "Two replicas of four GPUs on simulated nodes"):
        gpus.tell_gpus(teller, stage, customer)
    with teller.chapter(6, "A certificate expires"):
        gpus.tell_move(teller, stage, customer)
    with teller.chapter(7, "The same through kubectl"):
        kubernetes.tell(teller, stage, customer)
    # The engine of chapter 10 works meanwhile: it has a project of its own.
    with AsCode(stage, customer) as program:
        _tell_money(teller, stage, customer)
        with teller.chapter(10, "The other doors: the portal, and infrastructure as code"):
            # Pages show the running month, and that is the one in which something was used.
            stage.admin.move_clock(0)
            portal.tell(teller, stage, customer)
            program.tell(teller)


def _tell_money(teller: Teller, stage: Stage, customer: tenant.Tenant) -> None:
    with teller.chapter(8, "What was used, what it costs, and where it stops"):
        # The month that is billed is the real one.
        stage.admin.move_clock(0)
        teller.say("the clock is put back to the real time")
        budget.agree(teller, stage, customer)
        usage.tell(teller, stage, customer)
        budget.tell(teller, stage, customer)
    with teller.chapter(9, "The month is over: invoices, books, and what comes after"):
        closing.tell(teller, stage, customer)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.demo", description=__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="leave the stack running at the end, so that it can be looked at"
    )
    is_kept = parser.parse_args(arguments).keep
    stack = FOLDER / "stack"
    stop_kept_stack(stack.absolute())
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    teller = Teller(FOLDER.absolute())
    try:
        with opened_stage(teller, stack.absolute(), is_kept=is_kept) as stage:
            tell_story(teller, stage)
    except (StoryBroken, ApiError) as broken:
        teller.console.print(f"\n[bold red]The story broke:[/bold red] {broken}")
        teller.console.print(f"Logs: {stack / 'logs'}")
        return 1
    teller.finish()
    end = f"the stack goes on: REMPART_LOCAL_DIR={stack} make down" if is_kept else "nothing is left running"
    teller.console.print(f"\nDone in {teller.figures['wall_seconds']} s; {end}.")
    teller.console.print(
        f"Look at {FOLDER / 'transcript.md'}, {FOLDER / 'summary.json'} and what lies beside them."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
