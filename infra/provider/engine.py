"""Where Pulumi's engine is, and the launcher through which it runs our providers.

The engine starts a program `pulumi-resource-pulumi-python` for every resource that is implemented in Python. Pulumi's
own installer brings one; the engine that is built from its Go module has none, so ours is written beside it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.local.build import artefact_folder, is_built
from infra.local.versions import PULUMI

LAUNCHER = "pulumi-resource-pulumi-python"
PYTHON_VARIABLE = "REMPART_IAC_PYTHON"
_LAUNCHER_TEXT = f"""#!/bin/sh
# Serves resources that are implemented in Python, with the Python that runs the program.
exec "${{{PYTHON_VARIABLE}:?names the Python that has pulumi installed}}" -u -m infra.provider.host "$@"
"""


class EngineMissing(Exception):
    """There is no engine to run: neither built here nor installed."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine. `root` holds `bin/pulumi`; None means the one on PATH, with its own launcher."""

    root: Path | None


def find_engine() -> Engine:
    """The engine built into the user's cache, else the one on PATH. Errors: EngineMissing, with what to do."""
    if is_built(PULUMI):
        return Engine(_lay_out(artefact_folder(PULUMI)))
    if shutil.which("pulumi") and shutil.which(LAUNCHER):
        return Engine(None)
    raise EngineMissing(
        f"Pulumi's engine {PULUMI.version} is not built yet: run `make build`, or install Pulumi."
    )


def _lay_out(folder: Path) -> Path:
    """Put each program where it is looked for: the engine in `bin/` by the SDK, the launcher beside the engine's own
    file by the engine."""
    program, launcher = folder / "bin" / "pulumi", folder / LAUNCHER
    program.parent.mkdir(exist_ok=True)
    if not program.exists():
        _appear(program, lambda path: path.symlink_to(Path("..") / "pulumi"))
    if not launcher.exists() or launcher.read_text(encoding="utf-8") != _LAUNCHER_TEXT:
        _appear(launcher, _write_launcher)
    return folder


def _write_launcher(path: Path) -> None:
    path.write_text(_LAUNCHER_TEXT, encoding="utf-8")
    path.chmod(0o755)


def _appear(path: Path, make: Callable[[Path], None]) -> None:
    """Make a file whole under another name, then rename it: two programs may do this at once."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    make(scratch)
    scratch.replace(path)
