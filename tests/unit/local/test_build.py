"""What is built: what was asked for and is not in the cache, and nothing else."""

from pathlib import Path

import pytest

from infra.local import cli
from infra.local.build import BuildFailed, artefact_folder, ensure_built, is_built, program
from infra.local.versions import HELM, SOURCES, TEST_SOURCES, Source


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def finish(*sources: Source) -> None:
    for source in sources:
        artefact_folder(source).mkdir(parents=True)
        (artefact_folder(source) / "build.json").write_text("{}\n")


def run_build(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        cli.main(["build", *arguments])
    return ended.value.code


def test_what_is_in_the_cache_is_not_built_again() -> None:
    finish(HELM)
    said: list[str] = []
    ensure_built(said.append, sources=[HELM])
    assert is_built(HELM)
    assert said == []


def test_a_program_that_was_not_built_is_named_with_what_to_do() -> None:
    with pytest.raises(BuildFailed, match=r"helm v3\.19\.0 is not built yet: run `make build` first"):
        program(HELM, "helm")


def test_the_build_command_takes_the_tests_programs_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(*SOURCES)
    # Without any compiler within reach, whatever is not in the cache ends the command.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("infra.local.toolchain.LOCK", tmp_path / "no-lock")
    assert [run_build(), run_build("--tests")] == [0, cli.EXIT_FAILED]
    finish(*TEST_SOURCES)
    assert run_build("--tests") == 0
    assert capsys.readouterr().out == ""
