"""veraPDF needs Java, and its jars once from Maven (about a minute): where it cannot run, the summary says so loudly.

It runs when its jars are in the user's cache already, or when REMPART_VERAPDF=1 asks for them to be fetched; then a
machine without Java or Maven fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "verapdf"
FETCH_SECONDS_MAX = 600
MODULE = "test_verapdf"
_not_run: list[str] = []


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rempart" / "verapdf-1.30.2"


def is_wanted() -> bool:
    return os.environ.get("REMPART_VERAPDF") == "1"


def why_not() -> str | None:
    """Say why veraPDF does not run here; None when it does."""
    if is_wanted():
        return None
    if shutil.which("java") is None:
        return "there is no Java on this machine"
    if not (cache() / "complete").exists():
        return "its jars are not in the cache; fetch them once with REMPART_VERAPDF=1"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reason = why_not()
    if reason is None:
        return
    left_out = [item for item in items if item.path.stem == MODULE]
    if left_out:
        items[:] = [item for item in items if item.path.stem != MODULE]
        config.hook.pytest_deselected(items=left_out)
        _not_run.append(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in _not_run:
        terminalreporter.write_sep("!", "veraPDF DID NOT RUN", red=True, bold=True)
        terminalreporter.write_line(f"The second opinion on PDF/A-3b was not asked: {reason}.", red=True)


@pytest.fixture(scope="session")
def verapdf_jars() -> Path:
    """The folder of veraPDF's jars, fetched by Maven when it is not complete."""
    folder = cache()
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                "mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
                f"-DoutputDirectory={folder}",
            ],
            check=True, timeout=FETCH_SECONDS_MAX,
        )  # fmt: skip
        (folder / "complete").touch()
    return folder
