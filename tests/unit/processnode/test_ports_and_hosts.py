"""Loopback ports and the two files of a host."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from infra.local.processnode.domain import HostOffer
from infra.local.processnode.hosts import HostFolder
from infra.local.processnode.ports import PORT_COUNT, PORT_FIRST, PortBook

ASSIGNMENT = {"claimUid": "c", "nodeName": "n", "providerID": "process://h"}


def test_a_pod_keeps_its_ports_and_shares_none() -> None:
    book = PortBook()
    first = book.assign("u1", ["8080", "9090"])
    assert len(set(first.values())) == 2
    assert all(PORT_FIRST <= port < PORT_FIRST + PORT_COUNT for port in first.values())
    assert not set(book.assign("u2", ["8080"]).values()) & set(first.values())
    assert book.assign("u1", ["8080", "9090"]) == first


def test_a_port_somebody_else_listens_on_is_passed_over() -> None:
    book = PortBook()
    wanted = book.assign("u1", ["8080"])["8080"]
    with socket.create_server(("127.0.0.1", wanted)):
        assert book.assign("u1", ["8080"])["8080"] != wanted


def test_the_offer_is_written_once(tmp_path: Path) -> None:
    host = HostFolder(tmp_path, "h")
    host.offer(HostOffer("h", 1000, 512))
    written = (tmp_path / "h" / "host.json").stat().st_ino
    host.offer(HostOffer("h", 1000, 512))
    assert (tmp_path / "h" / "host.json").stat().st_ino == written
    host.offer(HostOffer("h", 2000, 512))
    assert json.loads((tmp_path / "h" / "host.json").read_text())["cpuMilli"] == 2000


def test_an_assignment_appears_changes_and_goes(tmp_path: Path) -> None:
    host = HostFolder(tmp_path, "h")
    path = tmp_path / "h" / "assignment.json"
    path.parent.mkdir()
    assert host.find_assignment() is None
    path.write_text(json.dumps(ASSIGNMENT))
    first = host.find_assignment()
    assert first is not None
    assert first.node_name == "n"
    path.write_text("{half")
    assert host.find_assignment() == first, "an unreadable file takes nothing away"
    path.write_text(json.dumps(ASSIGNMENT | {"nodeName": "another"}))
    second = host.find_assignment()
    assert second is not None
    assert second.node_name == "another"
    path.unlink()
    assert host.find_assignment() is None
