"""The defaults that the API server fills in, filled in here too. Pure.

An object that is read back has every default of its schema. Comparing what is wished with what is there
is only fair when the wish has them too: otherwise a field that was left out looks like a change for ever.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from operators.apis.v1alpha1 import KINDS
from operators.lib.crdgen import definition

Schema = Mapping[str, Any]


@cache
def _schemas() -> dict[str, Schema]:
    schemas = {}
    for kind in KINDS:
        (version,) = definition(kind)["spec"]["versions"]
        schemas[kind.FACTS.plural] = version["schema"]["openAPIV3Schema"]["properties"]
    return schemas


def with_defaults(plural: str, part: str, value: dict[str, Any]) -> dict[str, Any]:
    """`value` as the API server keeps it as `part` (spec or status) of a kind; as it is if not ours."""
    schema = _schemas().get(plural)
    filled: dict[str, Any] = value if schema is None else fill(schema[part], value)
    return filled


def fill(schema: Schema, value: Any) -> Any:
    """`value` with the defaults of a structural schema, at every depth, as the API server fills them.

    Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting
    """
    if isinstance(value, Mapping):
        result = dict(value)
        properties = schema.get("properties") or {}
        for name, child in properties.items():
            if name not in result and "default" in child:
                result[name] = child["default"]
        others = schema.get("additionalProperties")
        for name, item in result.items():
            child = properties.get(name, others if isinstance(others, Mapping) else None)
            if child is not None:
                result[name] = fill(child, item)
        return result
    if isinstance(value, list) and "items" in schema:
        return [fill(schema["items"], item) for item in value]
    return value
