"""<TAB> offers names from the API, by typer's protocol as bash and zsh speak it, and is silent when there are none."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.cli.shell import Shell, in_process_environment
from tests.integration.deployments.fleet import MODEL

pytestmark = pytest.mark.case("W26")
ROOT = Path(__file__).parents[3]


def press_tab(shell: str, line: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Ask as the shell's completion function does, with the cursor at the end of `line`."""
    words = line.split(" ")
    asked = (
        {"_REMPART_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        if shell == "bash"
        else {"_REMPART_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    )
    environment = {**in_process_environment(), "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", "from controlplane.cli.main import main; main()"],
        env={**environment, **asked, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def offered(owner: Shell, line: str, **variables: str) -> list[str]:
    given = {"REMPART_API_URL": owner.url, "REMPART_API_KEY": owner.key, **variables}
    done = press_tab("bash", line, owner.home, **given)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def person(owner: Shell) -> Shell:
    owner.ask("projects", "create", "second")
    for name, project in (("assistant", "default"), ("archive", "second"), ("chat", "default")):
        owner.ask("services", "deploy", name, "--model", MODEL, "--project", project)
    owner.ask("secrets", "create", "hub-token", "--value", "x")
    return owner


def test_names_and_ids_of_each_kind(person: Shell) -> None:
    service = person.ask("services", "get", "chat")
    key = person.ask("keys", "list")[0]["id"]
    table = {
        "rempart services get a": ["archive", "assistant"],
        "rempart services get ": ["archive", "assistant", "chat"],
        "rempart services scale z": [],
        f"rempart services get {service['id'][:-1]}": [service["id"]],
        # What the line says already narrows what is offered.
        "rempart services get --project second ": ["archive"],
        "rempart logs as": ["assistant"],
        "rempart secrets delete h": ["hub-token"],
        "rempart apps list --project s": ["second"],
        f"rempart deployments get {service['latest_deployment_id'][:-1]}": [service["latest_deployment_id"]],
        f"rempart keys revoke {key[:-1]}": [key],
        "rempart catalog model smollm2-1": [MODEL],
        "rempart services deploy x --model smollm2-1": [MODEL],
        "rempart invoices get in": [],
    }
    assert {line: offered(person, line) for line in table} == table


def test_zsh_shows_beside_each_name_what_it_is(person: Shell) -> None:
    variables = {"REMPART_API_URL": person.url, "REMPART_API_KEY": person.key}
    done = press_tab("zsh", "rempart projects get sec", person.home, **variables)
    project = person.ask("projects", "get", "second")["id"]
    assert done.stdout.strip() == f"""_arguments '*: :(("second":"{project}"))'"""


def test_the_profile_in_use_is_asked(person: Shell) -> None:
    fresh = Shell(person.capture, person.home, "")
    assert fresh.run("--profile", "one", "login", "--url", person.url, stdin=person.key).code == 0
    assert fresh.run("--profile", "void", "login", "--url", "http://127.0.0.1:9", stdin=person.key).code != 0
    found = press_tab("bash", "rempart --profile one services get arch", person.home)
    assert found.stdout.split() == ["archive"]
    assert press_tab("bash", "rempart context use o", person.home).stdout.split() == ["one"]
    unknown = press_tab("bash", "rempart --profile two services get a", person.home)
    assert (unknown.returncode, unknown.stdout.strip(), unknown.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "trouble", ["no key", "a wrong key", "nobody listens", "no answer", "a damaged file"]
)
def test_trouble_is_silent_and_short(owner: Shell, trouble: str) -> None:
    variables = {"REMPART_API_URL": owner.url, "REMPART_API_KEY": owner.key}
    with socket.create_server(("127.0.0.1", 0)) as mute:
        if trouble == "no key":
            del variables["REMPART_API_KEY"]
        elif trouble == "a wrong key":
            variables["REMPART_API_KEY"] = "rmp_nothing"
        elif trouble == "nobody listens":
            variables["REMPART_API_URL"] = "http://127.0.0.1:9"
        elif trouble == "no answer":
            variables["REMPART_API_URL"] = f"http://127.0.0.1:{mute.getsockname()[1]}"
        else:
            (owner.home / "rempart").mkdir(parents=True)
            (owner.home / "rempart" / "config.json").write_text("{", encoding="utf-8")
        began = time.monotonic()
        done = press_tab("bash", "rempart services get a", owner.home, **variables)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
    # The bound is two seconds; starting Python on a busy machine takes the rest.
    assert time.monotonic() - began < 30
