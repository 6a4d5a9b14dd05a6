"""The first pages that people read, run exactly as they are printed, one after the other, on a stack from nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.paths import REPOSITORY, Layout
from infra.local.stack import PORT_VARIABLES

SECONDS_MAX = 300
KEY_SHOWN = re.compile(r"rmp_[A-Za-z0-9_]{20,}")
KEY_PRINTED = "rmp_…"
MAKE_UP = re.compile(r"^make up.*\n", re.MULTILINE)


@dataclass(slots=True)
class Reader:
    """A person with a shell: what was exported stays, and the shown key is put where the page leaves it out."""

    folder: Path
    environment: dict[str, str]
    key: str = ""
    said: str = ""
    number: int = field(default=0)

    def read(self, page: str) -> None:
        """Run every block of shell and Python of a page, in order."""
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert blocks, f"{page} has nothing to run"
        for language, code in blocks:
            self.run(page, language, code)

    def run(self, page: str, language: str, code: str) -> None:
        # The stack runs already, started by the command that `make up` is.
        code = MAKE_UP.sub("", code).replace(
            "build/local/env", str(Layout(self.folder / "stack").environment_file)
        )
        if KEY_PRINTED in code:
            assert self.key, f"{page} uses a key before one was shown"
            code = code.replace(KEY_PRINTED, self.key)
        kept = self.folder / "exported.json"
        dump = f"{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))' > {kept}"
        if language == "sh":
            script = f"set -e -o pipefail\n{code}\n{dump}\n"
            command = ["bash", "-c", script]
        else:
            command = [sys.executable, "-c", code]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        said = f"{page}:\n{code}\n--- said\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        assert "Traceback" not in said
        self.said = done.stdout
        if language == "sh":
            self.environment = json.loads(kept.read_text(encoding="utf-8"))
        if shown := KEY_SHOWN.search(done.stdout):
            self.key = shown.group()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A stack from an empty folder, and somebody with an empty home who has this checkout's command on the path."""
    folder = tmp_path_factory.mktemp("journeys")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("REMPART_", "PULUMI_"))}
    for name in ("KUBECONFIG", "DATABASE_URL", "REDIS_URL"):
        own.pop(name, None)
    tools = folder / "bin"
    tools.mkdir()
    command = tools / "rempart"
    command.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from controlplane.cli.main import main; main()" "$@"\n'
    )
    command.chmod(0o755)
    stack = own | {"REMPART_LOCAL_DIR": str(folder / "stack")} | dict.fromkeys(PORT_VARIABLES.values(), "0")
    person = own | {
        "HOME": str(folder / "home"),
        "PATH": f"{tools}:{own['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "NO_COLOR": "1",
        # What was built once for this machine is there for a new person, too.
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
    }
    (folder / "home").mkdir()
    try:
        _local(stack, "up", "--sample")
        environment = _environment_of(folder / "stack")
        yield Reader(folder, person | environment)
    finally:
        _local(stack, "down")


def _local(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _environment_of(stack: Path) -> dict[str, str]:
    lines = Layout(stack).environment_file.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def test_make_up_is_the_command_that_this_test_runs() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert "-m infra.local up --sample" in makefile


@pytest.mark.e2e
@pytest.mark.case("S14")
@pytest.mark.case("W8")
def test_a_tenants_first_pages_run_as_printed_on_a_fresh_stack(reader: Reader) -> None:
    reader.read("docs/tenants/first-deploy.md")
    reader.run(
        "docs/tenants/first-deploy.md",
        "sh",
        "rempart services get assistant -o json; rempart events assistant\n",
    )
    assert '"status": "HEALTHY"' in reader.said
    assert "local-1" in reader.said


@pytest.mark.e2e
@pytest.mark.case("W9")
def test_the_page_after_it_runs_on_the_same_stack(reader: Reader) -> None:
    text = (REPOSITORY / "docs" / "tenants" / "infrastructure-as-code.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (reader.folder / "webshop.py").write_text(program, encoding="utf-8")
    reader.environment |= {"PULUMI_CONFIG_PASSPHRASE": "kept by the reader", "HF_TOKEN": "hf-value"}
    python = shlex.quote(sys.executable)
    reader.run("infrastructure-as-code.md", "sh", f"{python} webshop.py up\n{python} webshop.py destroy\n")


@pytest.mark.e2e
@pytest.mark.case("W9")
def test_a_program_called_wrongly_answers_in_a_sentence(reader: Reader) -> None:
    wrong = {"": 2, "fly": 2, "up": 1}
    for words, code in wrong.items():
        environment = reader.environment | ({"REMPART_API_KEY": "rmp_not_a_key"} if words == "up" else {})
        done = subprocess.run(
            [sys.executable, "webshop.py", *words.split()],
            cwd=reader.folder, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert ("usage: python webshop.py" in done.stderr) == (code == 2)


@pytest.mark.e2e
@pytest.mark.case("W8")
def test_an_operators_first_day_runs_as_printed_on_the_same_stack(reader: Reader) -> None:
    reader.read("docs/operators/first-day.md")
    reader.run("docs/operators/first-day.md", "sh", "rempart admin datacenters list -o json\n")
    assert "frankfurt-1" in reader.said
