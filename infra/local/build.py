"""Build the local stack's Go programs once per pinned version and keep them in the user's cache."""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.local.build_progress import Progress, open_progress
from infra.local.build_rules import decide_key, describe_duration, is_package_line
from infra.local.filelock import hold_lock
from infra.local.paths import cache_folder
from infra.local.toolchain import ensure_go
from infra.local.versions import SOURCES, Source

# What a failed build shows: the compiler's last words, not its whole output.
ERROR_LINES_MAX = 30


class BuildFailed(Exception):
    """A program of the local stack did not build; the message carries the compiler's last lines."""


def artefact_folder(source: Source) -> Path:
    """Where the programs of `source` stand once built: named by everything that decides the result."""
    key = decide_key(
        version=source.version,
        packages=source.packages,
        ldflags=source.ldflags,
        files=source.files,
        platform=f"{platform.system()}-{platform.machine()}",
        go_mod=(source.folder / "go.mod").read_bytes(),
        go_sum=(source.folder / "go.sum").read_bytes(),
    )
    return cache_folder() / f"{source.name}-{key}"


def is_built(source: Source) -> bool:
    """Whether every program and file of `source` is in the cache (the folder appears only when whole)."""
    return (artefact_folder(source) / "build.json").exists()


def program(source: Source, name: str) -> Path:
    """Path of a built program.

    Errors: BuildFailed if it was not built yet: `make build` does it.
    """
    path = artefact_folder(source) / name
    if not path.exists():
        raise BuildFailed(f"{name} {source.version} is not built yet: run `make build` first.")
    return path


def ensure_built(say: Callable[[str], None] = print, sources: Sequence[Source] = SOURCES) -> None:
    """Build those of `sources` that are not in the cache; safe to call from several processes at once.

    Errors: BuildFailed, ToolchainUnavailable.
    """
    missing = [source for source in sources if not is_built(source)]
    if not missing:
        return
    go = ensure_go(say)
    names = ", ".join(f"{source.name} {source.version}" for source in missing)
    say(
        f"building {names} from pinned sources with {go}; once: all of it takes about fifteen minutes on two cores;"
    )
    say(f"the result is kept in {cache_folder()}")
    for source in missing:
        folder = artefact_folder(source)
        with hold_lock(folder.with_suffix(".lock"), lambda: say("another build is running; waiting for it")):
            if not is_built(source):
                _build(source, go, folder, say)


def _build(source: Source, go: Path, folder: Path, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        total = _count_packages(source, go, say)
        with open_progress(f"{source.name} {source.version}", total) as progress:
            _compile(source, go, scratch, progress)
        _copy_files(source, go, scratch)
        seconds = time.monotonic() - started
        record = {"source": source.name, "version": source.version, "seconds": round(seconds, 1)}
        (scratch / "build.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        # The rename is what makes the result exist: whoever sees the folder sees all of it.
        scratch.replace(folder)
        say(f"{source.name} {source.version}: built in {describe_duration(seconds)}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _environment() -> dict[str, str]:
    # The user's own Go settings must not change what is built; proxies and caches stay theirs.
    own = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    kept = {k: v for k, v in os.environ.items() if k not in {"GOOS", "GOARCH", "GOEXPERIMENT", "GO111MODULE"}}
    return kept | own


def _count_packages(source: Source, go: Path, say: Callable[[str], None]) -> int:
    """How many packages the programs need, fetching their modules on the way."""
    say(f"{source.name} {source.version}: fetching modules")
    lines = _run_lines(source, [str(go), "list", "-deps", "-f", "{{.ImportPath}}", *source.packages])
    return len(lines)


def _compile(source: Source, go: Path, into: Path, progress: Progress) -> None:
    command = [str(go), "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(source.ldflags)]
    # With one package `-o` names a file, with several a folder; a folder's trailing slash means both.
    command += ["-o", f"{into}/", *source.packages]
    process = subprocess.Popen(
        command,
        cwd=source.folder,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    other: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        if is_package_line(line):
            progress.advance(line.strip())
        else:
            other = [*other, line.rstrip()][-ERROR_LINES_MAX:]
    if process.wait() != 0:
        raise BuildFailed(f"{source.name} {source.version} did not build:\n" + "\n".join(other))
    for package, name in zip(source.packages, source.programs, strict=True):
        built = into / _go_output_name(package)
        if built.name != name:
            built.rename(into / name)


def _go_output_name(package: str) -> str:
    # `go build` skips a major version suffix when it names its output.
    parts = package.split("/")
    last_is_version = len(parts) > 1 and parts[-1][:1] == "v" and parts[-1][1:].isdigit()
    return parts[-2] if last_is_version else parts[-1]


def _copy_files(source: Source, go: Path, into: Path) -> None:
    if not source.files:
        return
    lines = _run_lines(source, [str(go), "list", "-m", "-f", "{{.Dir}}", source.module])
    module = Path(lines[-1])
    for name in source.files:
        target = into / "files" / Path(name).name
        target.parent.mkdir(exist_ok=True)
        # The module cache is read-only; ours must stay deletable.
        target.write_bytes((module / name).read_bytes())


def _run_lines(source: Source, command: list[str]) -> list[str]:
    done = subprocess.run(
        command, cwd=source.folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-ERROR_LINES_MAX:])
        raise BuildFailed(f"{source.name} {source.version}: `{' '.join(command[1:3])}` failed:\n{tail}")
    return done.stdout.split("\n")[:-1]
