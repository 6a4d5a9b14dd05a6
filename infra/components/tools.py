"""helm and kubectl: the two programs that installing needs, from the environment, each call with a bound."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

CHARTS = Path(__file__).resolve().parents[2] / "helm"
CRDS = CHARTS / "operators" / "crds"
# Beyond what a chart itself may take: starting the program, and asking the API server.
CALL_SECONDS_MAX = 120.0
COMPLAINT_LINES_MAX = 15


class ToolFailed(Exception):
    """helm or kubectl did not do it; the message is its own last words."""


def run_tool(name: str, *arguments: str, stdin: str | None = None, seconds: float = 0.0) -> str:
    """Run `helm` or `kubectl` and return what it printed. Errors: ToolFailed."""
    done = try_tool(name, *arguments, stdin=stdin, seconds=seconds)
    if done.returncode != 0:
        raise ToolFailed(f"{name} {arguments[0]}: {last_words(done.stderr)}")
    return done.stdout


def try_tool(
    name: str, *arguments: str, stdin: str | None = None, seconds: float = 0.0
) -> subprocess.CompletedProcess[str]:
    """Run it, whatever it answers. Errors: ToolFailed when it is not there or does not end."""
    chosen = os.environ.get(f"REMPART_{name.upper()}") or shutil.which(name)
    if chosen is None:
        raise ToolFailed(f"{name} is not on PATH; REMPART_{name.upper()} may name it.")
    bound = seconds + CALL_SECONDS_MAX
    try:
        return subprocess.run(
            [chosen, *arguments], input=stdin, capture_output=True, text=True, timeout=bound, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"{name} {arguments[0]} did not end within {bound:.0f} s") from error


def last_words(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-COMPLAINT_LINES_MAX:])


def digest_of(folder: Path) -> str:
    """What names the content of a folder: a hash over every file's path and bytes."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def context_flag(program: str, context: str) -> tuple[str, ...]:
    flag = "--kube-context" if program == "helm" else "--context"
    return (f"{flag}={context}",) if context else ()
