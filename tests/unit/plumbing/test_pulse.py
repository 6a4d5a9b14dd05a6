"""Signs of life: what a loop leaves, and what the one who asks makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from controlplane.entrypoints import alive
from controlplane.plumbing.pulse import Mark, Pulse, find_silent


@dataclass(slots=True)
class Hands:
    """A clock that stands where it is put."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class TestPulse:
    def test_a_loop_that_never_came_round_once_grows_stale_from_the_start(self, tmp_path: Path) -> None:
        Pulse(tmp_path, ["a", "b"], Hands())
        assert find_silent(tmp_path, Mark.TURNED, 60, 1059.0) == []
        assert find_silent(tmp_path, Mark.TURNED, 60, 1061.0) == [
            "a has not turned for 61 s.",
            "b has not turned for 61 s.",
        ]

    def test_one_silent_loop_is_enough_and_is_named(self, tmp_path: Path) -> None:
        hands = Hands()
        pulse = Pulse(tmp_path, ["a", "b"], hands)
        hands.now += 100
        pulse.turned("a")
        assert find_silent(tmp_path, Mark.TURNED, 60, hands.now) == ["b has not turned for 100 s."]

    def test_coming_round_in_vain_is_alive_and_not_ready(self, tmp_path: Path) -> None:
        hands = Hands()
        pulse = Pulse(tmp_path, ["a"], hands)
        assert find_silent(tmp_path, Mark.SUCCEEDED, 60, hands.now) == ["a has never succeeded."]
        hands.now += 5
        pulse.succeeded("a")
        assert find_silent(tmp_path, Mark.SUCCEEDED, 60, hands.now) == []
        hands.now += 100
        pulse.turned("a")
        assert find_silent(tmp_path, Mark.TURNED, 60, hands.now) == []
        assert find_silent(tmp_path, Mark.SUCCEEDED, 60, hands.now) == ["a has not succeeded for 100 s."]

    def test_a_fast_loop_writes_once_a_second(self, tmp_path: Path) -> None:
        hands = Hands()
        pulse = Pulse(tmp_path, ["a"], hands)
        file = tmp_path / "a.turned"
        first = file.read_text(encoding="ascii")
        for _ in range(9):
            hands.now += 0.1
            pulse.turned("a")
            assert file.read_text(encoding="ascii") == first
        hands.now += 0.2
        pulse.turned("a")
        assert float(file.read_text(encoding="ascii")) == pytest.approx(hands.now, abs=0.001)

    def test_what_an_earlier_process_left_says_nothing_of_this_one(self, tmp_path: Path) -> None:
        Pulse(tmp_path, ["old"], Hands()).succeeded("old")
        Pulse(tmp_path, ["new"], Hands(5000.0))
        assert find_silent(tmp_path, Mark.TURNED, 60, 5001.0) == []
        assert find_silent(tmp_path, Mark.SUCCEEDED, 60, 5001.0) == ["new has never succeeded."]

    def test_without_a_folder_nothing_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Pulse(None, ["a"]).succeeded("a")
        assert list(tmp_path.iterdir()) == []


class TestAlive:
    def test_no_sign_at_all_is_no_life(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("REMPART_PULSE_DIR", str(tmp_path))
        assert alive.main(["--max-age", "60"]) == 1
        assert capsys.readouterr().err == "No loop has left a sign of life.\n"
        monkeypatch.delenv("REMPART_PULSE_DIR")
        assert alive.main(["--max-age", "60"]) == 1
        assert "REMPART_PULSE_DIR is not set" in capsys.readouterr().err

    def test_it_asks_for_life_or_for_work_done(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REMPART_PULSE_DIR", str(tmp_path))
        pulse = Pulse(tmp_path, ["a"])
        assert alive.main(["--max-age", "60"]) == 0
        assert alive.main(["--max-age", "60", "--ready"]) == 1
        pulse.succeeded("a")
        assert alive.main(["--max-age", "60", "--ready"]) == 0
