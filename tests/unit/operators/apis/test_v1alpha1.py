"""The types of the custom resources and the CRDs that are generated from them."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from operators.apis.v1alpha1 import KINDS, CustomResource, GPUNodePool, InferenceDeployment, NodeClaim
from operators.apis.v1alpha1.nodepool import GPUNodePoolSpec
from operators.lib.crdgen import CRD_DIRECTORY, definition, find_differences, rendered, structural

POOL: dict[str, Any] = {
    "metadata": {"name": "b300"},
    "spec": {
        "datacenter": "essonne-1",
        "cell": "essonne-1a",
        "provider": {"kind": "kwok"},
        "instanceType": "gpu-8x-b300",
        "accelerator": {"sku": "b300", "count": 8},
        "cpuMilli": 128_000,
        "memoryMiB": 2_097_152,
        "replicas": 4,
    },
}


def leaves(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from leaves(child, f"{path}.{name}")
    if "items" in schema:
        yield from leaves(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from leaves(schema["additionalProperties"], f"{path}{{}}")


def schema_of(kind: type[CustomResource]) -> dict[str, Any]:
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def test_generated_files_equal_the_types() -> None:
    assert find_differences(CRD_DIRECTORY) == []


def test_a_changed_or_left_over_file_is_found(tmp_path: Any) -> None:
    assert len(find_differences(tmp_path)) == len(KINDS)
    for kind in KINDS:
        (tmp_path / f"rempart.eu_{kind.FACTS.plural}.yaml").write_text(rendered(kind))
    assert find_differences(tmp_path) == []
    (tmp_path / "old.yaml").write_text("kind: Old\n")
    assert [path.name for path in find_differences(tmp_path)] == ["old.yaml"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_explains_itself(kind: type[CustomResource]) -> None:
    for path, schema in leaves(schema_of(kind), kind.__name__):
        if not path.endswith(("[]", "{}")):
            assert schema.get("description", "").strip(), f"{path} has no description"


@pytest.mark.parametrize("kind", KINDS)
def test_every_string_list_map_and_number_has_a_bound(kind: type[CustomResource]) -> None:
    for path, schema in leaves(schema_of(kind), kind.__name__):
        match schema.get("type"):
            case "string":
                assert "maxLength" in schema or "enum" in schema, path
            case "integer":
                assert {"minimum", "maximum"} <= set(schema), path
            case "array":
                assert "maxItems" in schema, path
                assert "x-kubernetes-list-type" in schema, path
            case "object":
                assert "properties" in schema or "maxProperties" in schema, path
            case "boolean":
                pass
            case other:
                pytest.fail(f"{path} has the type {other}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_has_a_sentence(kind: type[CustomResource]) -> None:
    rules = [
        rule
        for _, schema in leaves(schema_of(kind), "")
        for rule in schema.get("x-kubernetes-validations", [])
    ]
    assert rules
    for rule in rules:
        assert " " in rule["message"]
        assert rule["message"][-1] != "."


def test_a_manifest_reads_back_as_it_was_written() -> None:
    pool = GPUNodePool.model_validate(POOL)
    manifest = pool.manifest()
    assert manifest["apiVersion"] == "rempart.eu/v1alpha1"
    assert manifest["kind"] == "GPUNodePool"
    assert manifest["spec"]["memoryMiB"] == 2_097_152
    assert "status" not in manifest
    assert None not in manifest["metadata"].values()
    assert GPUNodePool.model_validate(manifest) == pool


def test_python_names_and_wire_names_both_build_a_spec() -> None:
    spec = GPUNodePoolSpec.model_validate(POOL["spec"])
    assert GPUNodePoolSpec.model_validate(spec.model_dump()) == spec
    assert GPUNodePoolSpec.model_validate(spec.model_dump(by_alias=True)) == spec


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("replicas", 2001),
        ("replicas", -1),
        ("datacenter", "-x"),
        ("cpuMilli", 0),
        ("provider", {"kind": "aws"}),
    ],
)
def test_a_value_outside_its_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        GPUNodePool.model_validate({**POOL, "spec": {**POOL["spec"], field: value}})


def test_a_reader_ignores_fields_it_does_not_know() -> None:
    pool = GPUNodePool.model_validate({**POOL, "spec": {**POOL["spec"], "later": 1}})
    assert "later" not in pool.manifest()["spec"]


def test_short_names_and_scopes_are_the_agreed_ones() -> None:
    facts = {
        kind.__name__: (kind.FACTS.short_name, kind.FACTS.scope)
        for kind in (GPUNodePool, NodeClaim, InferenceDeployment)
    }
    assert facts == {
        "GPUNodePool": ("gnp", "Cluster"),
        "NodeClaim": ("nc", "Cluster"),
        "InferenceDeployment": ("idp", "Namespaced"),
    }


def test_a_schema_word_that_kubernetes_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="prefixItems"):
        structural({"type": "array", "prefixItems": []}, {})
    with pytest.raises(ValueError, match="one type"):
        structural({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {})
