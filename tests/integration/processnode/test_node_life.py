"""The node itself: registration, release, and what survives the death of its program."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.integration.processnode.conftest import ProcessNodeProgram, processes_of, wait_until

SLEEPER = ["sh", "-c", "sleep 600 & echo up; wait"]


def pod_uid(program: ProcessNodeProgram, name: str) -> str:
    pod = program.get("pod", name)
    assert pod is not None
    uid: str = pod["metadata"]["uid"]
    return uid


def test_a_node_carries_what_its_assignment_says(program: ProcessNodeProgram) -> None:
    node = program.get("node", program.node)
    assert node is not None
    assert node["metadata"]["labels"]["rempart.eu/node-pool"] == "local"
    assert node["spec"]["providerID"] == f"process://{program.host.name}"
    assert {"key": "rempart.eu/unvalidated", "effect": "NoSchedule"} in node["spec"]["taints"]
    offer = json.loads((program.host / "host.json").read_text())
    assert offer["hostId"] == program.host.name
    assert node["status"]["capacity"]["memory"] == f"{offer['memoryMiB']}Mi"
    lease = program.get("lease", program.node, "kube-node-lease")
    assert lease is not None
    assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]


def test_release_stops_the_pods_and_removes_the_node(program: ProcessNodeProgram) -> None:
    program.create_pod("guest", command=SLEEPER)
    program.wait_for_container("guest", lambda c: c["ready"])
    uid = pod_uid(program, "guest")
    assert processes_of(uid)
    program.unassign()
    wait_until(lambda: program.get("node", program.node) is None, "the node is gone")
    assert program.get("pod", "guest") is None
    assert processes_of(uid) == []


def test_release_happens_even_if_it_was_asked_while_the_program_was_down(program: ProcessNodeProgram) -> None:
    program.end()
    program.unassign()
    program.start()
    wait_until(lambda: program.get("node", program.node) is None, "the node is gone")


def test_kill_nine_leaves_no_orphan_and_converges(program: ProcessNodeProgram) -> None:
    program.create_pod("survivor", command=SLEEPER)
    program.wait_for_container("survivor", lambda c: c["ready"])
    uid = pod_uid(program, "survivor")
    before = processes_of(uid)
    assert len(before) == 2
    program.end(signal.SIGKILL)
    program.start()
    again = program.wait_for_container("survivor", lambda c: c["restartCount"] == 1 and c["ready"])
    assert again["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert pod_uid(program, "survivor") == uid
    assert not set(before) & set(processes_of(uid))


def test_a_pod_deleted_while_the_program_was_down_is_finished(program: ProcessNodeProgram) -> None:
    program.create_pod("late", command=SLEEPER)
    program.wait_for_container("late", lambda c: c["ready"])
    uid = pod_uid(program, "late")
    program.end(signal.SIGKILL)
    program.delete_pod("late", "--wait=false")
    program.start()
    wait_until(lambda: program.get("pod", "late") is None, "the pod is gone")
    assert processes_of(uid) == []


def test_a_stop_of_the_program_ends_no_pod_for_good(program: ProcessNodeProgram) -> None:
    program.create_pod("steady", command=SLEEPER)
    program.wait_for_container("steady", lambda c: c["ready"])
    uid = pod_uid(program, "steady")
    program.end()
    assert processes_of(uid) == []
    assert program.status("steady")["phase"] == "Running"
    assert not program.is_ready()
    program.start()
    program.wait_for_container("steady", lambda c: c["restartCount"] == 1 and c["ready"])


def test_a_second_program_for_the_same_host_steps_back(program: ProcessNodeProgram) -> None:
    first = program.process
    assert first is not None
    program.start()
    second = program.process
    assert second is not None
    try:
        assert second.wait(30) == 75
    finally:
        second.kill()
        program.process = first
    assert program.is_ready()


def test_an_idle_node_writes_nothing_but_its_lease(program: ProcessNodeProgram) -> None:
    program.create_pod("quiet", command=SLEEPER)
    program.wait_for_container("quiet", lambda c: c["ready"])

    def versions() -> tuple[str, str]:
        node, pod = program.get("node", program.node), program.get("pod", "quiet")
        assert node is not None
        assert pod is not None
        return node["metadata"]["resourceVersion"], pod["metadata"]["resourceVersion"]

    def renewed() -> str:
        lease = program.get("lease", program.node, "kube-node-lease")
        assert lease is not None
        at: str = lease["spec"]["renewTime"]
        return at

    # The node controller lifts its own taint first; a renewed lease then marks a whole quiet round.
    for _ in range(2):
        seen, before = renewed(), versions()
        wait_until(lambda seen=seen: renewed() != seen, "the lease was renewed")  # type: ignore[misc]
    assert versions() == before


def test_a_node_deleted_by_hand_comes_back(program: ProcessNodeProgram, tmp_path: Path) -> None:
    node = program.get("node", program.node)
    assert node is not None
    program.api.kubectl("delete", "node", program.node)

    def is_back() -> bool:
        again = program.get("node", program.node)
        return again is not None and again["metadata"]["uid"] != node["metadata"]["uid"]

    wait_until(is_back, "the node registered again")
