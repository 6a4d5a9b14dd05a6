"""The installation under Pulumi's mocks: what each resource would be asked for, without any engine or cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime import Mocks, set_mocks
from pulumi.runtime import test as under_mocks

from controlplane.kernel.jurisdiction import UNION
from infra.components.components import Installation
from tests.unit.components.plans import plan

CHART = "rempart:HelmRelease"


class Recorder(Mocks):
    """Answers like a cluster that takes everything, and remembers each wish."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[str, dict[str, Any]]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.asked[args.name] = (args.typ, dict(args.inputs))
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], None]:
        raise AssertionError(f"an installation calls nothing: {args.token}")

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: inputs for name, (typ, inputs) in self.asked.items() if typ.endswith(kind)}


@pytest.fixture(scope="module")
def asked() -> Iterator[Recorder]:
    recorder = Recorder()
    # Pulumi works on the thread's current loop, and tests before this one may have closed theirs.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    set_mocks(recorder, project="tests", stack="mocked")

    @under_mocks
    def declare() -> None:
        Installation("installation", plan())

    declare()
    yield recorder
    asyncio.set_event_loop(None)
    loop.close()


def releases(asked: Recorder) -> dict[str, dict[str, Any]]:
    """Each release's inputs by its chart and the cluster it goes to."""
    return {f"{each['chart']}@{each.get('context', '')}": each for each in asked.of(CHART).values()}


def test_every_part_of_a_plan_is_installed_once(asked: Recorder) -> None:
    assert set(releases(asked)) == {
        "controlplane@", "operators@", "gateway@", "operators@lulea", "gateway@lulea",
    }  # fmt: skip
    assert len(asked.of(CHART)) == 5
    assert len(asked.of("rempart:CustomResources")) == 2, "one for each cluster with operators"


def test_every_chart_gets_the_names_of_its_existing_secrets(asked: Recorder) -> None:
    made = releases(asked)
    assert made["controlplane@"]["values"]["existingSecrets"] == {
        "owner": "rempart-owner", "runtime": "rempart-runtime", "adminKey": "rempart-admin",
    }  # fmt: skip
    assert made["operators@"]["values"]["redis"] == {"secretName": "rempart-redis"}
    assert made["operators@lulea"]["values"]["redis"] == {"secretName": "rempart-redis-lulea"}
    assert made["gateway@"]["values"]["existingSecret"] == "rempart-gateway"
    assert made["gateway@lulea"]["values"]["existingSecret"] == "rempart-gateway-lulea"


def test_every_namespace_says_that_data_stays_in_the_union(asked: Recorder) -> None:
    found = {
        (each["name"], each.get("context", "")): each["labels"] for each in asked.of(":Namespace").values()
    }
    assert set(found) == {
        ("rempart", ""), ("rempart-system", ""), ("rempart", "lulea"), ("rempart-system", "lulea"),
    }  # fmt: skip
    for labels in found.values():
        assert labels["rempart.eu/data-residency"] == "eu"
        assert labels["rempart.eu/country"].upper() in UNION
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert found["rempart", "lulea"]["rempart.eu/country"] == "se"
    homes = {each["namespace"] for each in asked.of(CHART).values()}
    assert homes == {name for name, _ in found}, "no release goes where no label is"


def test_no_input_is_a_secrets_value(asked: Recorder) -> None:
    """Nothing that an installation asks for is a value that must be kept: each is a name or a plain setting."""
    text = json.dumps([inputs for _, inputs in asked.asked.values()])
    for word in ("postgres", "redis://", "PEPPER", "BEGIN ", "rmp_", "password", "token"):
        assert word not in text


def test_a_gateway_beside_the_control_plane_shares_its_namespace(asked: Recorder) -> None:
    named = [each["name"] for each in asked.of(":Namespace").values() if not each.get("context")]
    assert sorted(named) == ["rempart", "rempart-system"], "one namespace has one owner of its labels"
