"""Pods on a process node, through the real API server: what kubectl shows is what the machine does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.integration.processnode.conftest import ProcessNodeProgram, processes_of, wait_until

SERVER = "import http.server,os,sys; print('listening',os.environ['PORT'],flush=True); http.server.test(http.server.SimpleHTTPRequestHandler,port=int(os.environ['PORT']),bind='127.0.0.1')"  # noqa: E501
HTTP_PORT = [{"name": "http", "containerPort": 8080}]
SLEEPER = ["python", "-c", "import time; print('up', flush=True); time.sleep(600)"]


def test_a_pod_runs_and_becomes_ready_on_its_own_port(program: ProcessNodeProgram) -> None:
    probe = {"tcpSocket": {"port": "http"}, "periodSeconds": 1}
    program.create_pod("web", command=["python", "-c", SERVER], ports=HTTP_PORT, readinessProbe=probe)
    program.api.kubectl("wait", "pod/web", "-n", "rempart-system", "--for=condition=Ready", "--timeout=30s")
    pod = program.get("pod", "web")
    assert pod is not None
    port = pod["metadata"]["annotations"]["rempart.eu/port-http"]
    assert pod["status"]["podIP"] == "127.0.0.1"
    assert pod["status"]["phase"] == "Running"
    logs = program.api.kubectl("logs", "web", "-n", "rempart-system")
    assert f"listening {port}" in logs


def test_logs_can_be_cut_and_followed(program: ProcessNodeProgram) -> None:
    script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 1; echo last"
    program.create_pod("talker", command=["sh", "-c", script], spec={"restartPolicy": "Never"})
    program.wait_for_container("talker", lambda c: "running" in c["state"])
    followed = program.api.kubectl("logs", "-f", "talker", "-n", "rempart-system")
    assert followed.splitlines() == ["line 1", "line 2", "line 3", "line 4", "line 5", "last"]
    cut = program.api.kubectl("logs", "--tail=2", "talker", "-n", "rempart-system")
    assert cut.splitlines() == ["line 5", "last"]


def test_logs_are_read_only_with_the_api_servers_certificate(program: ProcessNodeProgram) -> None:
    node = program.get("node", program.node)
    assert node is not None
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    keys = program.api.root / "pki"
    url = f"https://127.0.0.1:{port}/containerLogs/default/x/y"
    for identity, code in (("client-kwok", 403), ("client-admin", 404)):
        tls = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        tls.load_cert_chain(keys / f"{identity}.crt", keys / f"{identity}.key")
        with pytest.raises(HTTPError) as refusal:
            urlopen(url, context=tls, timeout=10)
        assert refusal.value.code == code


def test_secrets_reach_the_process_and_nothing_else(program: ProcessNodeProgram) -> None:
    program.api.kubectl(
        "create", "secret", "generic", "token", "-n", "rempart-system", "--from-literal=k=s3cr3t-x"
    )
    try:
        reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}
        script = "import hashlib,os; print(hashlib.sha256(os.environ['TOKEN'].encode()).hexdigest()[:8])"
        program.create_pod(
            "keeper", command=["python", "-c", script], env=[reference], spec={"restartPolicy": "Never"}
        )
        ended = program.wait_for_container("keeper", lambda c: "terminated" in c["state"])
        expected = hashlib.sha256(b"s3cr3t-x").hexdigest()[:8]
        assert ended["state"]["terminated"]["message"] == expected
        own_log = program.state.parent.joinpath("process-node.log").read_text()
        assert "s3cr3t-x" not in own_log
        assert "s3cr3t-x" not in json.dumps(program.get("pod", "keeper"))
        on_disk = [path for path in program.state.rglob("*") if path.is_file()]
        assert on_disk
        assert not any(b"s3cr3t-x" in path.read_bytes() for path in on_disk)
    finally:
        program.api.kubectl("delete", "secret", "token", "-n", "rempart-system")


def test_a_missing_secret_is_waited_for(program: ProcessNodeProgram) -> None:
    reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}}
    program.create_pod("waiter", command=SLEEPER, env=[reference])
    waiting = program.wait_for_container("waiter", lambda c: "waiting" in c["state"])
    assert waiting["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert "late" in waiting["state"]["waiting"]["message"]
    program.api.kubectl("create", "secret", "generic", "late", "-n", "rempart-system", "--from-literal=k=v")
    try:
        program.wait_for_container("waiter", lambda c: "running" in c["state"])
    finally:
        program.api.kubectl("delete", "secret", "late", "-n", "rempart-system")


def test_a_crash_loop_backs_off_and_keeps_the_last_word(program: ProcessNodeProgram) -> None:
    program.create_pod("crash", command=["sh", "-c", "echo trying; echo no luck >&2; exit 3"])
    looping = program.wait_for_container(
        "crash", lambda c: c["restartCount"] >= 2 and "waiting" in c["state"]
    )
    assert looping["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert looping["lastState"]["terminated"]["exitCode"] == 3
    assert looping["lastState"]["terminated"]["message"] == "no luck"
    assert not looping["ready"]
    previous = program.api.kubectl("logs", "crash", "-n", "rempart-system")
    assert sorted(previous.splitlines()) == ["no luck", "trying"]


def test_a_pod_that_never_restarts_ends_with_its_exit_code(program: ProcessNodeProgram) -> None:
    for name, code, phase in (("good", 0, "Succeeded"), ("bad", 7, "Failed")):
        program.create_pod(name, command=["sh", "-c", f"exit {code}"], spec={"restartPolicy": "Never"})
        wait_until(lambda n=name, p=phase: program.status(n).get("phase") == p, f"{name} {phase}")  # type: ignore[misc]
        assert program.container(name)["state"]["terminated"]["exitCode"] == code


def test_a_pod_past_its_deadline_fails(program: ProcessNodeProgram) -> None:
    program.create_pod("slow", command=SLEEPER, spec={"activeDeadlineSeconds": 1, "restartPolicy": "Never"})
    wait_until(lambda: program.status("slow").get("phase") == "Failed", "the pod failed")
    assert program.status("slow")["reason"] == "DeadlineExceeded"
    assert program.processes("slow") == []


def test_deletion_stops_gently_first(program: ProcessNodeProgram) -> None:
    # Where a pod of another user may write, too.
    open_folder = Path(tempfile.mkdtemp(prefix="rempart-goodbye-"))
    open_folder.chmod(0o777)
    mark = open_folder / "goodbye"
    script = f"trap 'echo bye > {mark}; exit 0' TERM; echo up; while true; do sleep 0.1; done"
    program.create_pod("polite", command=["sh", "-c", script])
    wait_until(
        lambda: "up" in program.api.try_kubectl("logs", "polite", "-n", "rempart-system").stdout, "it is up"
    )
    program.delete_pod("polite", "--timeout=20s")
    assert mark.read_text() == "bye\n"
    shutil.rmtree(open_folder)
    assert program.get("pod", "polite") is None


def test_deletion_ends_a_pod_that_does_not_listen(program: ProcessNodeProgram) -> None:
    script = "trap '' TERM; sleep 600 & echo up; while true; do sleep 0.1; done"
    program.create_pod("deaf", command=["sh", "-c", script])
    wait_until(
        lambda: "up" in program.api.try_kubectl("logs", "deaf", "-n", "rempart-system").stdout, "it is up"
    )
    pod = program.get("pod", "deaf")
    assert pod is not None
    began = time.monotonic()
    program.delete_pod("deaf", "--grace-period=1", "--timeout=20s")
    assert time.monotonic() - began < 15
    wait_until(lambda: processes_of(pod["metadata"]["uid"]) == [], "its children are gone too")


def test_an_unknown_image_is_refused(program: ProcessNodeProgram) -> None:
    program.create_pod("stranger", image="nginx:1")
    waiting = program.wait_for_container("stranger", lambda c: "waiting" in c["state"])
    assert waiting["state"]["waiting"]["reason"] == "ErrImagePull"
    assert "rempart.eu/local/llama-cpp" in waiting["state"]["waiting"]["message"]
    assert program.status("stranger")["phase"] == "Pending"
    program.delete_pod("stranger", "--timeout=20s")


def test_any_command_runs_only_in_the_system_namespace(program: ProcessNodeProgram) -> None:
    program.create_pod("intruder", namespace="default", command=["sh", "-c", "id"])
    waiting = program.wait_for_container("intruder", lambda c: "waiting" in c["state"], namespace="default")
    assert waiting["state"]["waiting"]["reason"] == "ErrImagePull"
    assert program.processes("intruder", "default") == []


def test_a_pod_has_no_capabilities_and_none_of_our_variables(program: ProcessNodeProgram) -> None:
    script = "grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status; env"
    program.create_pod("bare", command=["sh", "-c", script], spec={"restartPolicy": "Never"})
    program.wait_for_container("bare", lambda c: "terminated" in c["state"])
    said = program.api.kubectl("logs", "bare", "-n", "rempart-system")
    words = {line.split()[0]: line.split()[1] for line in said.splitlines() if "\t" in line}
    assert words == {"CapBnd:": "0" * 16, "CapEff:": "0" * 16, "NoNewPrivs:": "1"} or os.geteuid() != 0
    assert "KUBECONFIG" not in said


def test_the_acceptance_image_reports_real_checks(program: ProcessNodeProgram) -> None:
    program.create_pod("acceptance", image="rempart.eu/local/acceptance:1", spec={"restartPolicy": "Never"})
    wait_until(
        lambda: program.status("acceptance").get("phase") in ("Succeeded", "Failed"), "the checks ended"
    )
    message = program.container("acceptance")["state"]["terminated"]["message"]
    results = {check["name"]: check["result"] for check in json.loads(message)["checks"]}
    assert results == dict.fromkeys(("cpu", "arithmetic", "memory", "disk", "loopback", "clock"), "passed")


def test_acceptance_fails_on_a_host_that_is_smaller_than_promised(program: ProcessNodeProgram) -> None:
    env = [{"name": "REMPART_EXPECTED_MEMORY_MIB", "value": "99999999"}]
    program.create_pod(
        "small", image="rempart.eu/local/acceptance:1", env=env, spec={"restartPolicy": "Never"}
    )
    wait_until(lambda: program.status("small").get("phase") == "Failed", "the checks failed")
    message = program.container("small")["state"]["terminated"]["message"]
    failed = [check["name"] for check in json.loads(message)["checks"] if check["result"] == "failed"]
    assert failed == ["memory"]


def test_a_container_that_fails_its_liveness_probe_starts_again(program: ProcessNodeProgram) -> None:
    mark = program.state.parent / "sick"
    script = (
        "import http.server, os, pathlib\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        f"        self.send_response(500 if pathlib.Path({str(mark)!r}).exists() else 200)\n"
        "        self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()\n"
    )
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    program.create_pod(
        "patient",
        command=["python", "-c", script],
        ports=HTTP_PORT,
        startupProbe={**probe, "failureThreshold": 30},
        readinessProbe=probe,
        livenessProbe={**probe, "failureThreshold": 2},
    )
    program.wait_for_container("patient", lambda c: c["ready"])
    mark.touch()
    program.wait_for_container("patient", lambda c: not c["ready"])
    program.wait_for_container("patient", lambda c: c["restartCount"] >= 1)
    mark.unlink()
    program.wait_for_container("patient", lambda c: c["ready"])
