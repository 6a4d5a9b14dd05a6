"""`python -m infra.components {preview,up,refresh,destroy,unlock} plan.yaml`: install a plan, or remove it.

Reads KUBECONFIG, PULUMI_CONFIG_PASSPHRASE, and PATH for helm and kubectl. Exit codes: 0 done, 1 failed, 2 no plan.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from infra.components.components import Installation
from infra.components.plan import Plan, PlanRefused, read_plan
from infra.provider.engine import EngineMissing
from infra.provider.workspace import OpenStack, Program, RunFailed, open_stack

PASSPHRASE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - a variable's name
DONE, FAILED, NO_PLAN = 0, 1, 2


def program(plan: Plan) -> Program:
    """The Pulumi program of a plan."""

    def declare() -> None:
        Installation("installation", plan)

    return declare


def open_installation(plan: Plan, folder: Path, passphrase: str, stack: str = "production") -> OpenStack:
    """The stack of an installation, its state under `folder`. Errors: EngineMissing, RunFailed."""
    return open_stack(
        program(plan),
        folder,
        project="rempart-installation",
        stack=stack,
        passphrase=passphrase,
        say=lambda line: print(line, flush=True),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.components", description=__doc__)
    parser.add_argument("command", choices=["preview", "up", "refresh", "destroy", "unlock"])
    parser.add_argument("plan", type=Path)
    parser.add_argument(
        "--state", type=Path, default=Path("build/installation"), help="where the state stands"
    )
    parser.add_argument("--stack", default="production")
    chosen = parser.parse_args(arguments)
    passphrase = os.environ.get(PASSPHRASE_VARIABLE, "")
    try:
        plan = read_plan(chosen.plan)
        if not passphrase:
            raise PlanRefused(
                f"{PASSPHRASE_VARIABLE} must be set: the state's secrets are encrypted with it."
            )
        opened = open_installation(plan, chosen.state, passphrase, chosen.stack)
        getattr(opened, chosen.command)()
    except PlanRefused as refused:
        print(refused, file=sys.stderr)
        return NO_PLAN
    except (RunFailed, EngineMissing) as failed:
        print(failed, file=sys.stderr)
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
