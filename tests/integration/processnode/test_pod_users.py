"""What runs in a pod reads nothing of the platform's, nor of another pod's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infra.local.keys import ensure_secrets
from infra.local.paths import Layout, write_private
from tests.integration.processnode.conftest import ProcessNodeProgram, wait_until

# Tries each path that it is given and each process of the machine; says who it is and what it could read.
THIEF = """
import json, os, sys
read = []
for path in json.loads(sys.argv[1]):
    try:
        with open(path, "rb") as file:
            file.read(1)
        read.append(path)
    except OSError:
        pass
for name in os.listdir("/proc"):
    if name.isdigit():
        for what in ("environ", "mem", "root/etc/shadow", "cwd"):
            place = f"/proc/{name}/{what}"
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    continue
                os.readlink(place) if what == "cwd" else open(place, "rb").read(1)
                read.append(place)
            except OSError:
                pass
said = {"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "home": os.environ["HOME"], "read": read}
with open(os.path.join(os.environ["HOME"], "diary"), "w") as file:
    file.write("mine")
print(json.dumps(said), flush=True)
import time
time.sleep(600)
"""


def listed(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file()]


def ask(program: ProcessNodeProgram, name: str, paths: list[str]) -> dict[str, object]:
    program.create_pod(name, command=["python", "-c", THIEF, json.dumps(paths)])

    def said() -> str:
        return program.api.try_kubectl("logs", name, "-n", "rempart-system").stdout

    wait_until(lambda: "\n" in said(), f"{name} has said what it read")
    answer: dict[str, object] = json.loads(said().splitlines()[-1])
    return answer


@pytest.mark.case("X23")
def test_a_pod_reads_nothing_of_the_platforms(program: ProcessNodeProgram, tmp_path: Path) -> None:
    """The stack's own layout, made by its own code, beside the keys of the cluster and of the node."""
    layout = Layout(tmp_path / "stack")
    layout.ensure()
    ensure_secrets(layout.secrets_file)
    for file in (layout.admin_key_file, layout.gateway_key_file, layout.environment_file):
        write_private(file, "secret\n")
    (layout.state / "internal-token").write_text("made by a program that does not care about its mode")
    secrets = listed(layout.root) + listed(program.api.root / "pki")
    secrets += [str(path) for path in program.api.kubeconfigs.values()]
    assert len(secrets) > 10
    found = ask(program, "thief", secrets)
    if os.geteuid() != 0:
        # Nobody but the superuser can become another user; that is said when the node starts.
        assert "Pods are not separated" in (program.state.parent / "process-node.log").read_text()
        return
    assert found["read"] == []
    assert found["uid"] == found["gid"] != 0
    assert found["groups"] == []


@pytest.mark.case("X23")
def test_a_pod_reads_nothing_of_another_pods(program: ProcessNodeProgram) -> None:
    first = ask(program, "first", [])
    home = str(first["home"])
    assert (Path(home) / "diary").read_text() == "mine"
    others = [f"{home}/diary", f"{Path(home).parent}/termination-log", f"{Path(home).parent}/logs/c-0.log"]
    assert all(Path(path).exists() for path in others)
    second = ask(program, "second", others)
    if os.geteuid() != 0:
        assert "Pods are not separated" in (program.state.parent / "process-node.log").read_text()
        return
    assert second["uid"] != first["uid"]
    assert second["read"] == []


@pytest.mark.case("X23")
def test_a_link_in_place_of_a_message_shows_nothing(program: ProcessNodeProgram, tmp_path: Path) -> None:
    """The node reads the message as itself: what a pod names must not be what it reads."""
    secret = tmp_path / "secret"
    write_private(secret, "s3cr3t-x")
    script = f"ln -sf {secret} $REMPART_TERMINATION_MESSAGE_PATH; echo over"
    program.create_pod("linker", command=["sh", "-c", script], spec={"restartPolicy": "Never"})
    ended = program.wait_for_container("linker", lambda c: "terminated" in c["state"])
    if os.geteuid() == 0:
        assert "s3cr3t-x" not in ended["state"]["terminated"]["message"]
