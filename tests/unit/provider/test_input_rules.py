"""What may be declared: mistakes are told before any server is asked, and in the API's own terms."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from controlplane.deployments.definition_schemas import DefinitionIn
from controlplane.identity.key_rules import EXPIRES_IN_DAYS_MAX
from controlplane.identity.schemas import TenantKeyKind, TenantRole
from controlplane.kernel.bounds import SECRET_VALUE_LENGTH, SERVICE_NAME_PATTERN
from infra.provider import inference, input_rules
from infra.provider.input_rules import Fault

MODEL = {"inference": {"model": "smollm2-135m-instruct"}}
DESCRIPTION = json.loads(
    (Path(__file__).parents[3] / "docs" / "reference" / "openapi.json").read_text(encoding="utf-8")
)


def said(faults: list[Fault]) -> str:
    return "; ".join(f"{fault.input} {fault.sentence}" for fault in faults)


@pytest.mark.parametrize(
    ("check", "props", "complaint"),
    [
        (input_rules.check_project, {"name": "Chat"}, "name 'Chat' is no name"),
        (input_rules.check_project, {"name": "a"}, "is no name: 2 to 40"),
        (input_rules.check_project, {"name": "a--b"}, "is no name"),
        (input_rules.check_project, {}, "name is needed"),
        (
            input_rules.check_project,
            {"name": "chat", "description": "x" * 501},
            "description is a text of 0 to 500",
        ),
        (input_rules.check_project, {"name": "chat", "adopt": "svc_1"}, "begins with 'prj_'"),
        (
            input_rules.check_app,
            {"name": "a", "project_id": "chat"},
            "project_id 'chat' is no id of that kind",
        ),
        (input_rules.check_secret, {"name": "token"}, "value is needed"),
        (input_rules.check_secret, {"name": "token", "value": ""}, "value is a text of 1 to 32768"),
        (input_rules.check_secret, {"name": "token", "value": "x" * 32_769}, "value is a text of"),
        (input_rules.check_api_key, {"name": "ci", "role": "root"}, "'root' is none of owner, admin"),
        (
            input_rules.check_api_key,
            {"name": "ci", "role": "viewer", "kind": "adm"},
            "'adm' is none of svc, pat",
        ),
        (
            input_rules.check_api_key,
            {"name": "ci", "role": "viewer", "kind": "svc", "expires_in_days": 366},
            "expires_in_days is a whole number from 1 to 365",
        ),
        (
            input_rules.check_api_key,
            {"name": "ci", "role": "viewer", "kind": "svc", "scopes": ["all"]},
            "scopes 'all' is none of manage, inference",
        ),
        (
            input_rules.check_api_key,
            {"name": "ci", "role": "viewer", "kind": "svc", "scopes": []},
            "scopes is a list of some of",
        ),
        (input_rules.check_service, {"name": "chat"}, "definition is needed"),
        (input_rules.check_service, {"name": "chat", "definition": {}}, "definition names no model"),
        (
            input_rules.check_service,
            {"name": "chat", "definition": {**MODEL, "regoins": []}},
            "definition has no field 'regoins'",
        ),
        (
            input_rules.check_service,
            {"name": "chat", "definition": {**MODEL, "name": "other"}},
            "say its name as the resource's `name` alone",
        ),
        (input_rules.check_service_ready, {"wait_seconds": 0}, "wait_seconds is a whole number from 1"),
        (input_rules.check_service_ready, {"wait_seconds": True}, "wait_seconds is a whole number from 1"),
    ],
)
def test_a_mistake_is_named_with_its_input(
    check: Callable[[dict[str, Any]], list[Fault]], props: dict[str, Any], complaint: str
) -> None:
    assert complaint in said(check(props))


def test_what_is_not_known_yet_is_not_judged() -> None:
    assert input_rules.check_service({"name": UNKNOWN, "definition": UNKNOWN, "project_id": UNKNOWN}) == []
    assert input_rules.check_secret({"name": "token", "value": UNKNOWN}) == []


def test_no_complaint_repeats_a_secrets_value() -> None:
    assert "hunter2" not in said(input_rules.check_secret({"name": "token", "value": "hunter2" * 9_000}))


def test_the_rules_are_those_of_the_api() -> None:
    """Written here again, because a provider that imported the server could not be a client of it."""
    assert set(input_rules.ROLES) == {role.value for role in TenantRole}
    assert set(input_rules.KINDS) == {kind.value for kind in TenantKeyKind}
    assert input_rules.EXPIRES_IN_DAYS_MAX == EXPIRES_IN_DAYS_MAX
    assert input_rules.SECRET_LENGTH_MAX == SECRET_VALUE_LENGTH
    assert set(DefinitionIn.model_fields) == input_rules.DEFINITION_FIELDS | {"name"}
    pattern = DESCRIPTION["components"]["schemas"]["ProjectCreate"]["properties"]["name"]["pattern"]
    for name in ("a", "a1", "a-b", "a--b", "a-", "-a", "1a", "A", "a" * 41, "a.b", "é", ""):
        is_project_name = bool(re.match(pattern, name)) and 2 <= len(name) <= 40
        assert (input_rules.check_project({"name": name}) == []) is is_project_name, name
        is_service_name = bool(re.match(SERVICE_NAME_PATTERN, name))
        assert (input_rules.check_app({"name": name}) == []) is is_service_name, name


def test_a_definition_from_arguments_is_one_that_the_api_takes() -> None:
    full = inference(
        "smollm2-135m-instruct",
        instance_types=["process-cpu"],
        replicas_min=1,
        replicas_max=3,
        idle_seconds=60,
        concurrent_requests=8,
        env={"LOG_LEVEL": "info"},
        secret_env={"TOKEN": "token"},
        regions=["essonne-1"],
        countries=["FR", "SE"],
        is_non_eu_control_denied=True,
        licence_colours=["green"],
        pue_below_milli=1300,
        is_simulated_allowed=True,
    )
    for definition in (full, inference("smollm2-135m-instruct")):
        assert input_rules.check_service({"name": "chat", "definition": definition}) == []
        taken = DefinitionIn.model_validate({**definition, "name": "chat"}).model_dump(mode="json")
        assert taken["inference"]["model"] == "smollm2-135m-instruct"
    taken = DefinitionIn.model_validate({**full, "name": "chat"}).model_dump(mode="json")
    assert taken["sovereignty"]["pue_below_milli"] == 1300
    assert taken["env"][1] == {"key": "TOKEN", "value": None, "secret": "token"}
