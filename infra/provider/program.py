"""A tenant's program as a command: `python webshop.py up`, with a usage line and one sentence for whatever is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.provider.engine import EngineMissing
from infra.provider.session import KEY_VARIABLE, URL_VARIABLE
from infra.provider.workspace import OpenStack, Program, RunFailed, open_stack

PASSPHRASE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - the name of a variable
COMMANDS: Mapping[str, tuple[str, Callable[[OpenStack], object]]] = {
    "up": ("make the world as declared", OpenStack.up),
    "preview": ("show what up would do", OpenStack.preview),
    "refresh": ("let the state know what the server has", OpenStack.refresh),
    "destroy": ("delete all that the state knows", OpenStack.destroy),
    "unlock": ("take away the lock that a killed run left", OpenStack.unlock),
}
DONE, FAILED, MISUSED = 0, 1, 2


def main(
    program: Program,
    folder: Path,
    *,
    project: str,
    stack: str,
    needs: Sequence[str] = (),
    arguments: Sequence[str] | None = None,
) -> int:
    """Run the command that was typed and return its exit code: 0 done, 1 failed, 2 called wrongly.

    The address and the key come from REMPART_API_URL and REMPART_API_KEY, the passphrase from
    PULUMI_CONFIG_PASSPHRASE; `needs` names further variables that the program reads.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if len(typed) != 1 or typed[0] not in COMMANDS:
        _say_usage()
        return MISUSED
    missing = [
        name for name in (URL_VARIABLE, KEY_VARIABLE, PASSPHRASE_VARIABLE, *needs) if not os.environ.get(name)
    ]
    if missing:
        sys.stderr.write(f"Not set: {', '.join(missing)}. The program reads them from the environment.\n")
        return MISUSED
    _, run = COMMANDS[typed[0]]
    try:
        run(
            open_stack(
                program,
                folder,
                project=project,
                stack=stack,
                api_url=os.environ[URL_VARIABLE],
                api_key=os.environ[KEY_VARIABLE],
                passphrase=os.environ[PASSPHRASE_VARIABLE],
                say=print,
            )
        )
    except (RunFailed, EngineMissing) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return DONE


def _say_usage() -> None:
    name = Path(sys.argv[0]).name
    sys.stderr.write(f"usage: python {name} {{{'|'.join(COMMANDS)}}}\n")
    for command, (about, _) in COMMANDS.items():
        sys.stderr.write(f"  {command:8} {about}\n")
