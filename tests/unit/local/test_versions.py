"""The pins say one thing: the module files and the table name the same versions."""

import re

import pytest

from infra.local.build import artefact_folder
from infra.local.versions import SOURCES, TEST_SOURCES, Source


@pytest.mark.parametrize("source", [*SOURCES, *TEST_SOURCES], ids=lambda source: source.name)
class TestPins:
    def test_go_mod_pins_the_version_of_the_table(self, source: Source) -> None:
        text = (source.folder / "go.mod").read_text(encoding="utf-8")
        assert re.search(
            rf"^require {re.escape(source.module)} {re.escape(source.version)}$", text, re.MULTILINE
        )

    def test_go_sum_holds_the_hash_of_that_version(self, source: Source) -> None:
        text = (source.folder / "go.sum").read_text(encoding="utf-8")
        assert f"{source.module} {source.version} h1:" in text

    def test_a_version_stamp_names_that_version(self, source: Source) -> None:
        stamps = [flag.rsplit("=", 1)[1] for flag in source.ldflags if "=" in flag]
        assert all(stamp == source.version for stamp in stamps)

    def test_results_stand_in_the_users_cache_under_the_key(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
        assert re.fullmatch(rf"/somewhere/rempart/{source.name}-[0-9a-f]{{16}}", str(artefact_folder(source)))


def test_the_stack_builds_nothing_that_only_tests_run() -> None:
    names = [source.name for source in (*SOURCES, *TEST_SOURCES)]
    assert len(set(names)) == len(names)
    assert not set(SOURCES) & set(TEST_SOURCES)
