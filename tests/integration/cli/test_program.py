"""The program as it is installed: a process of its own, its streams, its home."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.shell import Shell, in_process_environment

PROGRAM = Path(sys.executable).with_name("rempart")
SECONDS_MAX = 60


def call(shell: Shell, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **in_process_environment(),
        "XDG_CONFIG_HOME": str(shell.home),
        "REMPART_API_URL": shell.url,
    }
    return subprocess.run(
        [PROGRAM, *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        cwd=shell.home.parent,
    )


def test_it_logs_in_is_somebody_and_forgets(owner: Shell) -> None:
    refused = call(owner, "whoami", "-o", "json")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert json.loads(refused.stderr)["error"]["code"] == "not_logged_in"
    login = call(owner, "login", stdin=owner.key)
    assert login.returncode == 0, login.stderr
    assert "as owner" in login.stdout
    assert owner.key not in login.stdout + login.stderr
    whoami = call(owner, "whoami", "-o", "json")
    assert json.loads(whoami.stdout)["role"] == "owner"
    assert owner.key not in whoami.stdout
    assert call(owner, "logout").returncode == 0
    assert call(owner, "whoami").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["apps", "--help"], 0), ([], 2), (["x"], 2)]
)
def test_help_is_plain_and_wrong_use_leaves_standard_output_alone(
    arguments: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(Shell(capsys, tmp_path / "home", "http://127.0.0.1:1"), *arguments)
    assert done.returncode == code
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout == "") == (code != 0)


def test_a_reader_that_has_seen_enough_is_no_error(owner: Shell) -> None:
    assert call(owner, "login", stdin=owner.key).returncode == 0
    environment = {
        **in_process_environment(),
        "XDG_CONFIG_HOME": str(owner.home),
        "REMPART_API_URL": owner.url,
    }
    with subprocess.Popen(
        [PROGRAM, "audit", "list"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=SECONDS_MAX) == 0
        assert process.stderr.read() == ""
