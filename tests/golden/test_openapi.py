"""The REST door's description is committed, complete, and bounded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi.routing import APIRoute

from controlplane.entrypoints import openapi
from controlplane.entrypoints.openapi_examples import EXAMPLES
from controlplane.entrypoints.openapi_rules import MAKING, PROBLEM_MEDIA, PUBLIC, complete, list_operations
from controlplane.entrypoints.routers import PUBLIC_ROUTERS, ROUTERS
from tests.fixtures.golden import check_golden

Json = dict[str, Any]
# A repetition without an end has this width in the regex compiler's own count.
PATTERN_WIDTH_MAX = 100_000
STRINGS_WITH_A_FORM = frozenset({"date", "date-time", "uuid"})
# Free by nature: a merge patch is bounded by the body limit, and its result is checked as a definition.
FREE_OBJECTS = frozenset({"ServicePatch.definition"})


@pytest.fixture(scope="module")
def text() -> str:
    return openapi.render()


@pytest.fixture(scope="module")
def document(text: str) -> Json:
    found: Json = json.loads(text)
    return found


class TestCommitted:
    def test_the_committed_description_is_what_the_program_serves(self, text: str) -> None:
        check_golden(openapi.COMMITTED, text)

    def test_writing_it_twice_gives_the_same_bytes(self, text: str) -> None:
        assert openapi.render() == text

    def test_check_refuses_another_description_and_takes_the_written_one(self, tmp_path: Path) -> None:
        file = tmp_path / "openapi.json"
        assert openapi.main(["--check", str(file)]) == 1
        assert openapi.main([str(file)]) == 0
        assert openapi.main(["--check", str(file)]) == 0
        file.write_text(file.read_text() + " ")
        assert openapi.main(["--check", str(file)]) == 1


class TestDocument:
    def test_it_is_openapi_3_1_with_servers_and_a_bearer_key(self, document: Json) -> None:
        assert document["openapi"].startswith("3.1.")
        assert [server["url"] for server in document["servers"]] == ["/", "http://127.0.0.1:8080"]
        assert document["security"] == [{"bearer": []}]
        scheme = document["components"]["securitySchemes"]["bearer"]
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")

    def test_every_tag_is_described_and_every_description_is_used(self, document: Json) -> None:
        used = {tag for _, _, operation in list_operations(document) for tag in operation["tags"]}
        described = {tag["name"] for tag in document["tags"] if tag["description"].endswith((".", "?"))}
        assert used == described

    def test_the_frameworks_own_error_shapes_are_gone(self, text: str) -> None:
        assert "ValidationError" not in text


class TestOperations:
    def test_each_has_a_name_a_summary_and_one_tag(self, document: Json) -> None:
        names = []
        for path, method, operation in list_operations(document):
            where = f"{method} {path}"
            assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"]), where
            assert len(operation["summary"]) >= 8, where
            assert not operation["summary"].endswith("."), where
            assert len(operation["tags"]) == 1, where
            names.append(operation["operationId"])
        assert len(names) == len(set(names))
        assert len(names) > 60

    def test_each_answers_errors_as_problem_documents(self, document: Json) -> None:
        for path, method, operation in list_operations(document):
            errors = {code: answer for code, answer in operation["responses"].items() if code[0] in "45"}
            assert "500" in errors, (method, path)
            for code, answer in errors.items():
                shown = _resolve(document, answer)
                assert list(shown["content"]) == [PROBLEM_MEDIA], (method, path, code)
                media = shown["content"][PROBLEM_MEDIA]
                assert media["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert media["example"]["status"] == int(code)
            assert ("401" in errors) == (operation["operationId"] not in PUBLIC)

    def test_each_success_has_a_shape_or_no_body(self, document: Json) -> None:
        for path, method, operation in list_operations(document):
            [(code, answer)] = [item for item in operation["responses"].items() if item[0][0] == "2"]
            assert ("content" not in answer) == (code == "204"), (method, path)
            assert "X-Request-Id" in answer["headers"]
            for media in answer.get("content", {}).values():
                assert media["schema"], (method, path)

    def test_headers_that_steer_are_described_where_they_count(self, document: Json) -> None:
        for path, method, operation in list_operations(document):
            headers = {p["name"]: p for p in operation.get("parameters", []) if p["in"] == "header"}
            assert ("Idempotency-Key" in headers) == (method == "post"), (method, path)
            has_to_match = headers.get("If-Match", {"required": False})["required"]
            assert has_to_match == ("428" in operation["responses"]), (method, path)
            assert ("If-Match" in headers) == ("412" in operation["responses"]), (method, path)
            assert ("requestBody" in operation) == ("413" in operation["responses"]), (method, path)
            is_making = operation["operationId"] in MAKING
            assert all(h["required"] == (n == "If-Match" and not is_making) for n, h in headers.items())

    def test_each_query_parameter_says_what_it_does(self, document: Json) -> None:
        silent = [
            f"{operation['operationId']}.{parameter['name']}"
            for _, _, operation in list_operations(document)
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "query" and "description" not in parameter
        ]
        assert silent == []


class TestExamples:
    """Each request body has an example, and the server takes it."""

    @pytest.mark.case("W10")
    def test_each_body_has_an_example_that_fits_its_schema(self, document: Json) -> None:
        seen, wrong = 0, []
        for _, _, operation in list_operations(document):
            for media, body in operation.get("requestBody", {}).get("content", {}).items():
                where = f"{operation['operationId']}, {media}"
                seen += 1
                if "example" not in body:
                    wrong.append(f"{where}: no example")
                    continue
                schema = {**body["schema"], "components": document["components"]}
                checker = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
                wrong += [f"{where}: {error.message}" for error in checker.iter_errors(body["example"])]
        assert wrong == []
        assert seen > 45

    @pytest.mark.case("W10")
    def test_each_example_is_taken_by_the_model_that_reads_the_body(self) -> None:
        # A model holds more than its schema says: sums, pairs, dates that follow one another.
        read = set()
        for route in _list_routes((*PUBLIC_ROUTERS, *ROUTERS)):
            if route.body_field is not None:
                name = str(route.operation_id)
                _, errors = route.body_field.validate(EXAMPLES[name], loc=("body",))
                assert not errors, (name, errors)
                read.add(name)
        # Usage events are read by the room itself, in two media types.
        assert set(EXAMPLES) - read == {"ingest_usage_events"}


class TestSchemas:
    @pytest.mark.case("W10")
    def test_each_property_is_described(self, document: Json) -> None:
        silent = [
            f"{name}.{field}"
            for name, schema in document["components"]["schemas"].items()
            for field, value in schema.get("properties", {}).items()
            if not value.get("description", "").strip()
        ]
        assert silent == []

    def test_no_string_and_no_list_of_a_request_is_without_bound(self, document: Json) -> None:
        unbounded = [
            f"{operation['operationId']}: {place}"
            for _, _, operation in list_operations(document)
            for place in _unbounded(document, _body_of(operation), "", frozenset())
        ]
        assert unbounded == []

    def test_requests_refuse_unknown_fields(self, document: Json) -> None:
        open_shapes = [
            f"{operation['operationId']}: {name}"
            for _, _, operation in list_operations(document)
            for name in _shapes(document, _body_of(operation))
            if document["components"]["schemas"][name].get("type") == "object"
            and document["components"]["schemas"][name].get("additionalProperties") is not False
        ]
        assert open_shapes == []

    def test_the_lint_finds_what_it_looks_for(self) -> None:
        """Without this, a lint that looks in the wrong place would pass for ever."""
        free = {"type": "string"}
        assert list(_unbounded({}, free, "x", frozenset())) == ["x"]
        assert list(_unbounded({}, {**free, "pattern": "^[a-z]+$"}, "x", frozenset())) == ["x"]
        assert list(_unbounded({}, {**free, "pattern": "^[a-z]{2}$"}, "x", frozenset())) == []
        assert list(_unbounded({}, {"type": "array", "items": {"type": "integer"}}, "x", frozenset())) == [
            "x[]"
        ]
        assert list(_unbounded({}, {"type": "object"}, "x", frozenset())) == ["x{}"]
        texts = {"type": "object", "maxProperties": 2, "additionalProperties": free}
        assert list(_unbounded({}, texts, "x", frozenset())) == ["x{}"]
        lonely = {
            "openapi": "3.1.0",
            "info": {},
            "paths": {"/x": {"delete": {"operationId": "drop_x", "responses": {"204": {}, "422": {}}}}},
            "components": {"schemas": {"Unused": {}}},
        }
        done = complete(lonely)
        assert done["components"]["schemas"] == {}
        assert set(done["paths"]["/x"]["delete"]["responses"]) >= {"204", "401", "412", "428", "500"}


def _list_routes(routers: Iterable[Any]) -> Iterator[APIRoute]:
    """Every operation, also those of routers that others include."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route
            else:
                yield from _list_routes([route.original_router])


def _resolve(document: Json, node: Json) -> Json:
    found = node
    if "$ref" in node:
        found = document
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            found = found[part]
    return found


def _body_of(operation: Json) -> Json:
    schema: Json = (
        operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    )
    return schema


def _children(schema: Json) -> Iterator[tuple[str, Json]]:
    for name, child in schema.get("properties", {}).items():
        yield f".{name}", child
    if isinstance(schema.get("items"), dict):
        yield "[]", schema["items"]
    for kind in ("anyOf", "oneOf", "allOf"):
        for child in schema.get(kind, []):
            yield "", child


def _shapes(document: Json, schema: Json) -> set[str]:
    """Names of all schemas that a request body is made of."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[1]
            if name not in found:
                found.add(name)
                waiting.append(_resolve(document, node))
            continue
        waiting += [child for _, child in _children(node)]
    return found


def _unbounded(document: Json, schema: Json, place: str, seen: frozenset[str]) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name not in seen:
            yield from _unbounded(document, _resolve(document, schema), name, seen | {name})
        return
    if schema.get("type") == "string" and not _is_bounded(schema):
        yield place
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield f"{place}[]"
    if schema.get("type") == "object" and "properties" not in schema and place not in FREE_OBJECTS:
        values = schema.get("additionalProperties")
        if "maxProperties" not in schema or not isinstance(values, dict):
            yield f"{place}{{}}"
        else:
            yield from _unbounded(document, values, f"{place}{{}}", seen)
    for suffix, child in _children(schema):
        yield from _unbounded(document, child, place + suffix, seen)


def _is_bounded(schema: Json) -> bool:
    if "maxLength" in schema or "enum" in schema or "const" in schema:
        return True
    if schema.get("format") in STRINGS_WITH_A_FORM:
        return True
    pattern = schema.get("pattern")
    return pattern is not None and re._parser.parse(pattern).getwidth()[1] < PATTERN_WIDTH_MAX  # type: ignore[attr-defined]
