"""The pages below `/docs` as plain values: what the description says, cut into one section for each tag. Pure.

Source: OpenAPI 3.1 and JSON Schema 2020-12, as far as this description uses them (tests/golden/test_openapi.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from controlplane.entrypoints.openapi_rules import list_operations

Json = dict[str, Any]

# A piece of text, and the name of the shape that it leads to, if any.
Piece = tuple[str, str]
ENUM_SHOWN_MAX = 12


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a property of a shape. `place` is path, query, header or empty."""

    name: str
    kind: tuple[Piece, ...]
    bounds: str
    is_required: bool
    text: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    text: str
    fields: tuple[Field, ...]
    kind: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """A request body in one media type, with an example as JSON and as a call."""

    media: str
    kind: tuple[Piece, ...]
    example: str
    call: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    text: str
    kind: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    text: str
    needs_key: bool
    parameters: tuple[Field, ...]
    bodies: tuple[Body, ...]
    call: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The operations of one tag, and the shapes that they speak in. `slug` is its place below `/docs`."""

    slug: str
    title: str
    text: str
    operations: tuple[Operation, ...]
    shapes: tuple[Shape, ...]


def build_sections(document: Json) -> tuple[Section, ...]:
    """Return a section for each tag of the description, in its order."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
    for path, method, operation in list_operations(document):
        found[operation["tags"][0]].append(_operation(document, path, method, operation))
    return tuple(
        Section(
            slug=slug_of(tag["name"]),
            title=tag["name"],
            text=tag["description"],
            operations=tuple(found[tag["name"]]),
            shapes=tuple(_shapes(document, found[tag["name"]])),
        )
        for tag in document["tags"]
    )


def slug_of(title: str) -> str:
    """Write a tag as a part of an address: `admin: api keys` is `admin-api-keys`."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def list_pieces(text: str) -> list[tuple[str, str]]:
    """Cut a sentence at its marks: (how, text) with `how` one of code, strong and plain."""
    pieces = []
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text):
        if part.startswith("`") and part.endswith("`") and len(part) > 2:
            pieces.append(("code", part[1:-1]))
        elif part.startswith("**"):
            pieces.append(("strong", part[2:-2]))
        elif part:
            pieces.append(("plain", part))
    return pieces


def _operation(document: Json, path: str, method: str, operation: Json) -> Operation:
    parameters = tuple(
        _field(
            each["name"], each["schema"], each.get("required", False), each.get("description", ""), each["in"]
        )
        for each in operation.get("parameters", [])
    )
    needs_key = operation.get("security", document["security"]) != []
    bodies = tuple(
        Body(
            media,
            _kind(body["schema"]),
            _json(body["example"]),
            _call(method, path, parameters, needs_key, media, body["example"]),
        )
        for media, body in operation.get("requestBody", {}).get("content", {}).items()
    )
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        text=operation.get("description", ""),
        needs_key=needs_key,
        parameters=parameters,
        bodies=bodies,
        call=_call(method, path, parameters, needs_key),
        answers=tuple(_answer(document, status, each) for status, each in operation["responses"].items()),
    )


def _answer(document: Json, status: str, answer: Json) -> Answer:
    if "$ref" in answer:
        answer = document["components"]["responses"][str(answer["$ref"]).rpartition("/")[2]]
    schemas = [media["schema"] for media in answer.get("content", {}).values()]
    return Answer(status, answer["description"], _kind(schemas[0]) if schemas else ())


def _call(
    method: str,
    path: str,
    parameters: tuple[Field, ...],
    needs_key: bool,
    media: str = "",
    example: Any = None,
) -> str:
    """A call as a shell takes it: `$API` is the installation's address, `$KEY` an API key."""
    parts = [f'curl -X {method.upper()} "$API{path}"']
    if needs_key:
        parts.append('-H "Authorization: Bearer $KEY"')
    parts += [
        f"-H '{each.name}: \"1\"'" for each in parameters if each.name == "If-Match" and each.is_required
    ]
    if media:
        text = json.dumps(example, ensure_ascii=False).replace("'", "'\\''")
        parts += [f"-H 'Content-Type: {media}'", f"-d '{text}'"]
    return " \\\n  ".join(parts)


def _shapes(document: Json, operations: list[Operation]) -> Iterator[Shape]:
    """The shapes that operations name, and those that these name, in the order of their names."""
    schemas = document["components"]["schemas"]
    waiting = [name for each in operations for kind in _kinds(each) for _, name in kind if name]
    found: dict[str, Shape] = {}
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _shape(name, schemas[name])
        kinds = (found[name].kind, *(field.kind for field in found[name].fields))
        waiting += [other for kind in kinds for _, other in kind if other]
    yield from (found[name] for name in sorted(found))


def _kinds(operation: Operation) -> Iterator[tuple[Piece, ...]]:
    yield from (each.kind for each in operation.parameters)
    yield from (each.kind for each in operation.bodies)
    yield from (each.kind for each in operation.answers)


def _shape(name: str, schema: Json) -> Shape:
    required = set(schema.get("required", []))
    fields = tuple(
        _field(each, inner, each in required, inner.get("description", ""))
        for each, inner in schema.get("properties", {}).items()
    )
    return Shape(name, schema.get("description", ""), fields, () if fields else _kind(schema))


def _field(name: str, schema: Json, is_required: bool, text: str, place: str = "") -> Field:
    return Field(name, _kind(schema), "; ".join(_bounds(schema)), is_required, text, place)


def _kind(schema: Json) -> tuple[Piece, ...]:
    """What stands there, in words, with the shapes that it names."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return ((name, name),)
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return _join([_kind(each) for each in schema[word]], " or ")
    if "const" in schema:
        return ((_json(schema["const"]), ""),)
    if "enum" in schema:
        shown = ", ".join(_json(each) for each in schema["enum"][:ENUM_SHOWN_MAX])
        return ((shown + (", …" if len(schema["enum"]) > ENUM_SHOWN_MAX else ""), ""),)
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return ((" or ".join(kind), ""),)
    if kind == "array":
        return (("list of ", ""), *_kind(schema.get("items", {})))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return (("object of ", ""), *_kind(schema["additionalProperties"]))
    return ((f"{kind} ({schema['format']})" if "format" in schema else str(kind), ""),)


def _join(kinds: list[tuple[Piece, ...]], word: str) -> tuple[Piece, ...]:
    joined: list[Piece] = []
    for kind in kinds:
        joined += [(word, "")] if joined else []
        joined += kind
    return tuple(joined)


_BOUNDS = (
    ("minimum", "at least {}"), ("maximum", "at most {}"), ("exclusiveMinimum", "more than {}"),
    ("exclusiveMaximum", "less than {}"), ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"), ("pattern", "like {}"), ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"), ("default", "{} if left out"),
)  # fmt: skip


def _bounds(schema: Json) -> Iterator[str]:
    kinds = [schema, *schema.get("anyOf", [])]
    for word, text in _BOUNDS:
        for each in kinds:
            if word in each:
                value = each[word]
                yield text.format(_json(value) if word == "default" else _plain(value))


def _plain(value: Any) -> str:
    """A bound as it is said: a whole number has no point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _json(value: Any) -> str:
    return json.dumps(
        value, ensure_ascii=False, indent=2 if isinstance(value, dict | list) and value else None
    )
