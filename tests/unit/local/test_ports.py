"""Ports: free ones, and the same ones again."""

import socket
from pathlib import Path

from infra.local.ports import PORT_FIRST, PORT_LAST, ensure_ports, find_free


def test_a_stack_keeps_its_ports_from_one_start_to_the_next(tmp_path: Path) -> None:
    first = ensure_ports(tmp_path / "ports.json", {"a": 0, "b": 0})
    assert ensure_ports(tmp_path / "ports.json", {"a": 0, "b": 0}) == first
    assert len(set(first.values())) == 2


def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    first = ensure_ports(tmp_path / "ports.json", {"a": 0})
    with socket.create_server(("127.0.0.1", first["a"])):
        assert ensure_ports(tmp_path / "ports.json", {"a": 0})["a"] != first["a"]


def test_the_preferred_port_is_taken_when_it_is_free(tmp_path: Path) -> None:
    wanted = find_free()
    assert ensure_ports(tmp_path / "ports.json", {"a": wanted})["a"] == wanted


def test_free_ports_lie_below_those_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    assert PORT_FIRST <= find_free() <= PORT_LAST < lowest or lowest < PORT_FIRST
