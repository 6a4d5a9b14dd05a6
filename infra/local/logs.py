"""One view of all programs' logs: merged by time, or followed as they grow."""

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from infra.local.log_rules import merge

FOLLOW_SECONDS = 0.2  # Soon enough for a reader's eye.
READ_BYTES_MAX = 1024 * 1024  # Of each log, from its end: a view is for reading, the files are for searching.


def list_logs(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Log files by program: those named, or all. Errors: FileNotFoundError with what there is."""
    found = {path.stem: path for path in sorted(folder.glob("*.log"))}
    wanted = list(names)
    if missing := [name for name in wanted if name not in found]:
        raise FileNotFoundError(f"no log of {', '.join(missing)}; there are {', '.join(found) or 'none yet'}")
    return {name: found[name] for name in wanted} if wanted else found


def show(logs: dict[str, Path], count: int, emit: Callable[[str, str], None]) -> None:
    """The last `count` lines of all logs together."""
    year = datetime.datetime.now(datetime.UTC).year
    texts = {name: _read_end(path).splitlines() for name, path in logs.items()}
    for name, line in merge(texts, year)[-count:]:
        emit(name, line)


def find(logs: Mapping[str, Path], text: str, emit: Callable[[str, str], None]) -> int:
    """Emit every line of all logs that holds `text`, by time; return how many. Reads the files whole, line by line."""
    year = datetime.datetime.now(datetime.UTC).year
    found = {name: list(_lines_with(path, text.encode())) for name, path in logs.items()}
    merged = merge(found, year)
    for name, line in merged:
        emit(name, line)
    return len(merged)


def _lines_with(path: Path, text: bytes) -> Iterator[str]:
    with path.open("rb") as file:
        for line in file:
            if text in line:
                yield line.decode("utf-8", errors="replace").rstrip("\n")


def list_records(state: Path) -> dict[str, Path]:
    """Files in which the gateway and the operators keep what they did, by a name for a reader."""
    if not state.is_dir():
        return {}
    files = [path for pattern in ("*.jsonl", "*.log") for path in sorted(state.rglob(pattern))]
    return {str(path.relative_to(state).with_suffix("")): path for path in files}


def follow(
    find: Callable[[], dict[str, Path]], emit: Callable[[str, str], None], is_over: Callable[[], bool]
) -> None:
    """Emit every line that is written from now on, also to logs that appear later, until `is_over`."""
    places = {path: path.stat().st_size for path in find().values()}
    while not is_over():
        for name, path in find().items():
            places[path] = _emit_new(name, path, places.get(path, 0), emit)
        time.sleep(FOLLOW_SECONDS)


def _emit_new(name: str, path: Path, place: int, emit: Callable[[str, str], None]) -> int:
    size = path.stat().st_size
    # A log is emptied in place when it grew too long: then all of it is new.
    start = place if size >= place else 0
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(READ_BYTES_MAX)
    whole = data.rfind(b"\n") + 1
    if whole == 0 and len(data) == READ_BYTES_MAX:
        whole = len(data)  # One endless line must not stop the view.
    for line in data[:whole].decode("utf-8", errors="replace").splitlines():
        emit(name, line)
    return start + whole


def _read_end(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - READ_BYTES_MAX))
        data = file.read()
    cut = data.find(b"\n") + 1 if size > READ_BYTES_MAX else 0
    return data[cut:].decode("utf-8", errors="replace")
