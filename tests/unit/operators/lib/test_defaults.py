"""What the API server fills in is filled in before anything is compared."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.apis.v1alpha1 import KINDS, NodeClaimPhase
from operators.lib.crdgen import definition
from operators.lib.defaults import with_defaults
from operators.lib.patch_rules import merge_patch

# Other work on the machine is no fault of a rule.
UNHURRIED = settings(deadline=None)
STATUSES = [
    (
        kind.FACTS.plural,
        definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"],
    )
    for kind in KINDS
    if kind.FACTS.has_status
]


def parts_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of the schema from which any part that has a default may be missing."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object" if "properties" in schema:
            known = schema["properties"]
            required = {name: parts_of(known[name]) for name in known if name in schema.get("required", [])}
            optional = {name: parts_of(known[name]) for name in known if name not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case "object":
            return st.dictionaries(
                st.sampled_from("ab"), parts_of(schema["additionalProperties"]), max_size=2
            )
        case "array":
            return st.lists(parts_of(schema["items"]), max_size=2)
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(0, 3)
        case _:
            return st.sampled_from(["", "x"])


def kept_by_the_server(schema: dict[str, Any], value: Any) -> Any:
    """Kubernetes' rule, written down plainly: fill what is missing, then go down into what is there."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        filled = {name: child["default"] for name, child in known.items() if "default" in child} | value
        other = schema.get("additionalProperties", {})
        return {name: kept_by_the_server(known.get(name, other), item) for name, item in filled.items()}
    if isinstance(value, list):
        return [kept_by_the_server(schema["items"], item) for item in value]
    return value


@pytest.mark.case("F18")
@pytest.mark.parametrize(("plural", "schema"), STATUSES, ids=[plural for plural, _ in STATUSES])
@UNHURRIED
@given(data=st.data())
def test_what_the_server_fills_in_is_no_change(
    plural: str, schema: dict[str, Any], data: st.DataObject
) -> None:
    """For every kind and every field with a default: writing again what was written is no patch."""
    wished = data.draw(parts_of(schema))
    kept = kept_by_the_server(schema, wished)
    assert merge_patch(kept, with_defaults(plural, "status", wished)) == {}
    assert with_defaults(plural, "status", kept) == kept


@pytest.mark.case("F18")
@pytest.mark.parametrize("phase", list(NodeClaimPhase))
def test_a_claim_without_a_machine_is_complete_in_every_phase(phase: NodeClaimPhase) -> None:
    filled = with_defaults("nodeclaims", "status", {"phase": phase.value, "conditions": []})
    assert (filled["nodeName"], filled["providerID"], filled["simulated"]) == ("", "", False)
