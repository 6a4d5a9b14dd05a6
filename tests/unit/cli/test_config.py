"""The stored key: one file for its owner alone, behind the environment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controlplane.cli import config
from controlplane.cli.config import Profile, config_path, forget_profile, load_profile, save_profile
from controlplane.cli.errors import NotLoggedIn, WrongUse


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("REMPART_API_KEY", raising=False)
    monkeypatch.delenv("REMPART_API_URL", raising=False)
    # A command that ran in this process before may have asked for another.
    monkeypatch.setitem(config._wanted, "profile", "")
    return tmp_path


def test_nobody_else_can_read_it_whatever_the_mask_and_whatever_was_there() -> None:
    config_path().parent.mkdir(parents=True)
    config_path().write_text("{}")
    config_path().chmod(0o644)
    config_path().with_suffix(".new").write_text("left over")
    before = os.umask(0)
    try:
        path = save_profile(Profile("http://a", "k"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_profile() == Profile("http://a", "k")


def test_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    save_profile(Profile("http://a", "k"))
    monkeypatch.setenv("REMPART_API_KEY", "other")
    assert load_profile() == Profile("http://a", "other")
    monkeypatch.setenv("REMPART_API_URL", "http://b")
    assert load_profile() == Profile("http://b", "other")


def test_without_a_key_it_says_how_to_get_one() -> None:
    with pytest.raises(NotLoggedIn, match="rempart login"):
        load_profile()


def test_forgetting_removes_it_and_says_whether_there_was_one() -> None:
    save_profile(Profile("http://a", "k"))
    assert forget_profile()
    assert not config_path().exists()
    assert not forget_profile()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_file_is_named_and_never_shown(text: str) -> None:
    config_path().parent.mkdir(parents=True)
    config_path().write_text(text)
    with pytest.raises(WrongUse, match="damaged"):
        load_profile()
