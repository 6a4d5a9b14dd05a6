"""Ports: free ones, and the same ones again."""

import socket
from pathlib import Path

import pytest

from infra.local import ports
from infra.local.ports import PORT_FIRST, PORT_LAST, Claims, ensure_ports, find_free, is_free


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


def test_two_stacks_that_start_at_the_same_moment_never_choose_the_same_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Twenty ports for two stacks of ten, and nobody listens yet: chance alone would let them collide.
    first = next(
        start
        for start in range(PORT_FIRST, PORT_LAST - 200, 20)
        if all(is_free(start + number) for number in range(20))
    )
    wanted = find_free()
    monkeypatch.setattr(ports, "PORT_FIRST", first)
    monkeypatch.setattr(ports, "PORT_LAST", first + 19)
    monkeypatch.setattr(ports, "TRIES_MAX", 2_000)
    names = {f"p{number}": 0 for number in range(10)}
    chosen = [ensure_ports(tmp_path / f"{stack}.json", names) for stack in ("one", "two")]
    assert len({*chosen[0].values(), *chosen[1].values()}) == 20
    # Both want the same one: the first has it, and the second another.
    assert ensure_ports(tmp_path / "three.json", {"api": wanted})["api"] == wanted
    monkeypatch.setattr(ports, "PORT_LAST", first + 200)
    assert ensure_ports(tmp_path / "four.json", {"api": wanted})["api"] != wanted


def test_a_claim_ends_with_its_release(tmp_path: Path) -> None:
    mine, other = Claims(tmp_path), Claims(tmp_path)
    port = find_free()
    assert mine.take(port)
    assert not other.take(port)
    mine.release()
    assert other.take(port)
    other.release()


def test_free_ports_lie_below_those_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    assert PORT_FIRST <= find_free() <= PORT_LAST < lowest or lowest < PORT_FIRST
