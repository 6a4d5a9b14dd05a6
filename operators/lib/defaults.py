"""The defaults that the API server fills in, filled in here too. Pure.

An object that is read back has every default of its schema. Comparing what is wished with what is there
is only fair when the wish has them too: otherwise a field that was left out looks like a change for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from operators.apis.v1alpha1 import KINDS
from operators.lib.crdgen import definition

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filler:
    """A schema cut down to what holds defaults: this runs in every reconcile."""

    defaults: tuple[tuple[str, Any], ...]
    properties: Mapping[str, "Filler"]
    others: "Filler | None"
    items: "Filler | None"

    def fill(self, value: Any) -> Any:
        """`value` with the defaults, at every depth, as the API server fills them.

        Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting
        """
        if isinstance(value, dict):
            result = dict(value)
            for name, default in self.defaults:
                if name not in result:
                    result[name] = default
            for name, item in result.items():
                filler = self.properties.get(name, self.others)
                if filler is not None:
                    result[name] = filler.fill(item)
            return result
        if isinstance(value, list) and self.items is not None:
            return [self.items.fill(item) for item in value]
        return value


def filler_of(schema: Schema) -> Filler | None:
    """What fills a structural schema's defaults; None when it has none."""
    properties = schema.get("properties") or {}
    inner = {name: filler for name, child in properties.items() if (filler := filler_of(child)) is not None}
    others = schema.get("additionalProperties")
    filler = Filler(
        defaults=tuple((name, child["default"]) for name, child in properties.items() if "default" in child),
        properties=inner,
        others=filler_of(others) if isinstance(others, Mapping) and not properties else None,
        items=filler_of(schema["items"]) if "items" in schema else None,
    )
    return filler if filler.defaults or inner or filler.others or filler.items else None


@cache
def _fillers() -> dict[tuple[str, str], Filler]:
    fillers = {}
    for kind in KINDS:
        (version,) = definition(kind)["spec"]["versions"]
        for part, schema in version["schema"]["openAPIV3Schema"]["properties"].items():
            filler = filler_of(schema)
            if filler is not None:
                fillers[kind.FACTS.plural, part] = filler
    return fillers


def with_defaults(plural: str, part: str, value: dict[str, Any]) -> dict[str, Any]:
    """`value` as the API server keeps it as `part` (spec or status) of a kind; as it is if not ours."""
    filler = _fillers().get((plural, part))
    filled: dict[str, Any] = value if filler is None else filler.fill(value)
    return filled
