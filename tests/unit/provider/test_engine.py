"""Where the engine is found, and the launcher beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.build import artefact_folder
from infra.local.versions import PULUMI, SOURCES
from infra.provider.engine import LAUNCHER, PYTHON_VARIABLE, EngineMissing, find_engine

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho v3.250.0\n")
    path.chmod(0o755)


def test_the_engine_is_built_with_the_stack() -> None:
    assert PULUMI in SOURCES


def test_without_any_engine_the_message_says_what_to_do() -> None:
    with pytest.raises(EngineMissing, match="run `make build`, or install Pulumi"):
        find_engine()


def test_an_installed_pulumi_is_used_when_none_was_built(cache: Path) -> None:
    program(cache / "bin" / "pulumi")
    with pytest.raises(EngineMissing):
        find_engine()
    program(cache / "bin" / LAUNCHER)
    assert find_engine().root is None


def test_the_built_engine_is_laid_out_as_the_sdk_and_the_engine_look_for_it() -> None:
    folder = artefact_folder(PULUMI)
    program(folder / "pulumi")
    (folder / "build.json").write_text("{}\n")
    for _ in range(2):
        assert find_engine().root == folder
        assert (folder / "bin" / "pulumi").resolve() == folder / "pulumi"
        assert (folder / LAUNCHER).stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in folder.iterdir()) == sorted(["bin", "build.json", "pulumi", LAUNCHER])


def test_the_launcher_serves_with_the_programs_python_until_the_engine_ends(cache: Path) -> None:
    folder = artefact_folder(PULUMI)
    program(folder / "pulumi")
    (folder / "build.json").write_text("{}\n")
    find_engine()
    command = ["/bin/sh", str(folder / LAUNCHER)]
    lost = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
    assert lost.returncode != 0
    assert PYTHON_VARIABLE in lost.stderr
    # A parent between us and the host stands for the engine: it shows the port, and then it is killed.
    environment = {PYTHON_VARIABLE: sys.executable, "PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    engine = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({command!r})"],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        assert engine.stdout is not None
        assert 0 < int(engine.stdout.readline()) < 65_536
    finally:
        engine.kill()
        engine.wait(timeout=10)
    assert engine.stdout.read() == "", "the pipe closes when its last holder, the host, has ended"
