"""A container's log on disk: nothing lost, nothing unbounded, followers told at once."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infra.local.processnode.container_log import (
    FOLLOWER_LINES_MAX,
    LINE_BYTES_MAX,
    LOG_BYTES_MAX,
    ContainerLog,
    drop_old_logs,
    log_path,
    read_log,
)


def texts(path: Path, tail: int | None = None) -> list[str]:
    return [line.text for line in read_log(path, tail)]


def test_lines_come_back_whole_however_they_were_cut(tmp_path: Path) -> None:
    @given(st.lists(st.text(alphabet="abc é F", max_size=20), max_size=8), st.integers(1, 7))
    def check(lines: list[str], size: int) -> None:
        path = tmp_path / "c-0.log"
        path.unlink(missing_ok=True)
        log = ContainerLog(path)
        data = "".join(f"{line}\n" for line in lines).encode()
        for start in range(0, len(data), size):
            log.write("stdout", data[start : start + size])
        log.close()
        assert texts(path) == lines

    check()


def test_the_last_line_needs_no_newline(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "c-0.log")
    log.write("stderr", b"one\ntwo")
    assert log.last_line == "one"
    log.close()
    assert log.last_line == "two"
    assert texts(log.path) == ["one", "two"]


def test_only_the_tail_is_kept_when_asked(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "c-0.log")
    log.write("stdout", b"1\n2\n3\n")
    assert texts(log.path, tail=2) == ["2", "3"]
    assert read_log(log.path, since="9999") == []
    log.close()


def test_a_log_is_bounded_on_disk(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "c-0.log")
    line = b"x" * 8000 + b"\n"
    for _ in range(2 * LOG_BYTES_MAX // len(line) + 10):
        log.write("stdout", line)
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) <= 2 * LOG_BYTES_MAX


def test_an_endless_line_is_split(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "c-0.log")
    log.write("stdout", b"y" * (2 * LINE_BYTES_MAX + 5))
    log.close()
    assert [len(text) for text in texts(log.path)] == [LINE_BYTES_MAX, LINE_BYTES_MAX, 5]


async def test_a_follower_gets_new_lines_and_the_end(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "c-0.log")
    log.write("stdout", b"before\n")
    queue = log.follow()
    log.write("stdout", b"after\n")
    log.close()
    line = await queue.get()
    assert line is not None
    assert line.text == "after"
    assert await queue.get() is None


async def test_a_slow_follower_is_ended_not_waited_for(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "c-0.log")
    queue = log.follow()
    log.write("stdout", b"z\n" * (FOLLOWER_LINES_MAX + 1))
    assert await queue.get() is None
    log.close()


def test_only_two_runs_are_kept(tmp_path: Path) -> None:
    for run in range(4):
        drop_old_logs(tmp_path, "c", run)
        ContainerLog(log_path(tmp_path, "c", run)).close()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["c-2.log", "c-3.log"]
