"""What an operation does not know is refused: query parameters, doubled ones, bodies where none is read.

A filter with a misspelt name that is ignored answers everything, and a program that deletes what it was answered then
deletes everything. One check, before any handler, reads from each operation's own signature what it knows.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant

from controlplane.kernel.errors import FieldProblem, InvalidInput

SHOWN_MAX = 10
NAME_LENGTH_SHOWN = 100
# What clients send that have no body to send.
_EMPTY_BODIES = frozenset({b"", b"{}", b"null"})


def check_query(query: str, known: Mapping[str, bool]) -> tuple[FieldProblem, ...]:
    """Return what is wrong with a query string's names. `known` says of each name whether it may be repeated."""
    seen: set[str] = set()
    problems: dict[str, FieldProblem] = {}
    for name, _ in parse_qsl(query, keep_blank_values=True):
        shown = name[:NAME_LENGTH_SHOWN]
        if name not in known:
            problems[name] = FieldProblem(
                f"query.{shown}", _unknown(shown, sorted(known)), "unknown_parameter"
            )
        elif name in seen and not known[name]:
            sentence = "This parameter stands there twice; give it once."
            problems[name] = FieldProblem(f"query.{shown}", sentence, "repeated_parameter")
        seen.add(name)
    return tuple(problems.values())[:SHOWN_MAX]


def _unknown(name: str, known: Sequence[str]) -> str:
    if not known:
        return "This operation takes no query parameters."
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    # `state` for `states`, `organization` for `organization_id`: the same word, longer or shorter.
    near = near or [each for each in known if name and (each.startswith(name) or name.startswith(each))][:1]
    meant = f" Did you mean '{near[0]}'?" if near else ""
    return f"There is no parameter of this name here.{meant} Known are: {', '.join(known)}."


async def refuse_unknown(request: Request) -> None:
    """FastAPI dependency of every operation. Errors: InvalidInput naming each unknown or doubled parameter."""
    route = request.scope["route"]
    problems = check_query(request.url.query, known_parameters(route.dependant))
    if problems:
        raise InvalidInput("The query is not understood; see `errors` for each parameter.", fields=problems)
    if not takes_body(route) and (await request.body()).strip() not in _EMPTY_BODIES:
        problem = FieldProblem("body", "This operation takes no body.", "unknown_body")
        raise InvalidInput("This operation takes no body; send none.", fields=(problem,))


def takes_body(route: Any) -> bool:
    """Whether a route reads a body: declared as a model, or described by hand where it reads the bytes itself."""
    return route.body_field is not None or "requestBody" in (route.openapi_extra or {})


def known_parameters(dependant: Dependant) -> dict[str, bool]:
    """Return each query parameter of an operation, and whether it may be repeated."""
    return dict(_walk(dependant))


def _walk(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for field in dependant.query_params:
        yield field.alias, _is_list(field.field_info.annotation)
    for part in dependant.dependencies:
        yield from _walk(part)


def _is_list(annotation: Any) -> bool:
    """Whether a parameter's type, or one of its alternatives, is a list."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(_is_list(part) for part in get_args(annotation))
    return (get_origin(annotation) or annotation) in (list, tuple, set, frozenset)
