"""Every operation refuses what it does not know, in its query and in its body: a table over the whole API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from controlplane.entrypoints import openapi
from tests.fixtures.tenants import Caller, sign_up

Json = dict[str, Any]
DOCUMENT: Json = json.loads(openapi.render())
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [
    (method, path, found)
    for path, item in DOCUMENT["paths"].items()
    for method, found in item.items()
    if method in METHODS
]
NAMES = [f"{method} {path}" for method, path, _ in OPERATIONS]


def parameters(operation: Json) -> list[Json]:
    return [each for each in operation.get("parameters", []) if each["in"] == "query"]


def is_list(parameter: Json) -> bool:
    schema = parameter["schema"]
    return any(each.get("type") == "array" for each in (schema, *schema.get("anyOf", [])))


def send(client: TestClient, method: str, path: str, query: str, **more: Any) -> Any:
    where = path
    for each in ("{", "}"):
        where = where.replace(each, "")
    return client.request(method, f"{where}?{query}" if query else where, **more)


class TestEveryOperation:
    def refused(self, answer: Any, place: str) -> list[Json]:
        assert answer.status_code == 422, f"{place}: {answer.status_code} {answer.text[:300]}"
        problem = answer.json()
        assert problem["code"] == "invalid_input", place
        return list(problem["errors"])

    @pytest.mark.case("W13")
    @pytest.mark.case("M46")
    def test_names_unknown_parameters_and_the_nearest_known_one(
        self, admin: TestClient, api: TestClient
    ) -> None:
        tenant = sign_up(api)
        for method, path, operation in OPERATIONS:
            client, headers = self._caller(path, admin, tenant)
            place = f"{method} {path}"
            (found,) = self.refused(send(client, method, path, "colour=red", headers=headers), place)
            assert (found["field"], found["code"]) == ("query.colour", "unknown_parameter"), place
            for parameter in parameters(operation):
                name = parameter["name"]
                wrong = f"{name}s" if not name.endswith("s") else name[:-1]
                if wrong in {each["name"] for each in parameters(operation)}:
                    continue
                (found,) = self.refused(send(client, method, path, f"{wrong}=x", headers=headers), place)
                assert found["field"] == f"query.{wrong}"
                assert f"'{name}'" in found["message"], (place, found)
                if not is_list(parameter):
                    twice = self.refused(
                        send(client, method, path, f"{name}=1&{name}=2", headers=headers), place
                    )
                    assert [each["code"] for each in twice] == ["repeated_parameter"], place

    @pytest.mark.case("W13")
    def test_takes_no_body_where_it_reads_none(self, admin: TestClient, api: TestClient) -> None:
        tenant = sign_up(api)
        tried = 0
        for method, path, operation in OPERATIONS:
            if "requestBody" in operation:
                continue
            tried += 1
            client, headers = self._caller(path, admin, tenant)
            answer = send(client, method, path, "", headers=headers, json={"force": True})
            (found,) = self.refused(answer, f"{method} {path}")
            assert (found["field"], found["code"]) == ("body", "unknown_body")
        assert tried > 40

    @pytest.mark.case("W13")
    def test_describes_no_body_that_takes_fields_it_does_not_name(self) -> None:
        schemas = DOCUMENT["components"]["schemas"]
        for method, path, operation in OPERATIONS:
            for media in operation.get("requestBody", {}).get("content", {}).values():
                name = media["schema"].get("$ref", "").rpartition("/")[2]
                if name:
                    assert schemas[name].get("additionalProperties") is False, f"{method} {path}: {name}"

    def _caller(
        self, path: str, admin: TestClient, tenant: Caller
    ) -> tuple[TestClient, dict[str, str] | None]:
        return admin, (None if path.startswith("/v1/admin/") else dict(tenant.headers))
