"""The chart's promises that need no Kubernetes: values, rights, images. Rendering is not read here."""

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml

from operators.apis.v1alpha1 import KINDS

CHART = Path(__file__).resolve().parents[3] / "helm" / "operators"
FILLED = {
    "cell": "essonne-1a",
    "image": {"repository": "registry.example/rempart", "digest": "sha256:" + "0" * 64},
    "redis": {"secretName": "rempart-redis"},
}


def values(**changes: Any) -> dict[str, Any]:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for key, value in {**FILLED, **changes}.items():
        defaults[key] = {**defaults[key], **value} if isinstance(value, dict) else value
    return copy.deepcopy(defaults)  # type: ignore[no-any-return]


def schema() -> Any:
    return jsonschema_rs.validator_for(orjson.loads((CHART / "values.schema.json").read_bytes()))


def without_templates(text: str) -> list[dict[str, Any]]:
    """The documents of a template whose directives stand on lines of their own or in plain scalars."""
    lines = [line for line in text.splitlines() if not line.strip().startswith("{{-")]
    plain = re.sub(r"\{\{.*?\}\}", "x", "\n".join(lines))
    return [document for document in yaml.safe_load_all(plain) if document]


def rules() -> list[dict[str, Any]]:
    documents = without_templates((CHART / "templates" / "rbac.yaml").read_text())
    return [rule for document in documents for rule in document.get("rules", [])]


def test_filled_values_are_accepted_and_the_bare_defaults_are_not() -> None:
    assert schema().is_valid(values())
    assert not schema().is_valid(yaml.safe_load((CHART / "values.yaml").read_text()))


@pytest.mark.parametrize(
    "changes",
    [
        {"replica": 2},
        {"replicas": 0},
        {"cell": ""},
        {"image": {"digest": "latest"}},
        {"image": {"pullpolicy": "Always"}},
        {"redis": {"secretName": ""}},
        {"spool": {"size": "2 GB"}},
    ],
)
def test_a_misspelt_or_impossible_value_is_refused(changes: dict[str, Any]) -> None:
    assert not schema().is_valid(values(**changes))


def test_every_object_of_the_schema_is_closed() -> None:
    def check(node: dict[str, Any], path: str) -> None:
        if node.get("type") == "object" and path != ".global" and path != ".tolerations[]":
            assert "additionalProperties" in node, path
            assert node["additionalProperties"] is not True, path
        for name, child in node.get("properties", {}).items():
            check(child, f"{path}.{name}")
        if isinstance(node.get("items"), dict):
            check(node["items"], f"{path}[]")

    check(orjson.loads((CHART / "values.schema.json").read_bytes()), "")


def test_every_value_that_a_template_reads_exists() -> None:
    defaults = values()
    for template in (CHART / "templates").iterdir():
        for path in re.findall(r"\.Values\.([A-Za-z.]+)", template.read_text()):
            node: Any = defaults
            for part in path.split("."):
                assert part in node, f"{template.name}: .Values.{path}"
                node = node[part]


def test_rights_have_no_wildcard_no_secret_and_no_escalation() -> None:
    assert len(rules()) > 5
    for rule in rules():
        words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not [word for word in words if "*" in word], rule
        assert "secrets" not in rule["resources"]
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])


def test_rights_cover_every_kind_and_its_status() -> None:
    watched = {name for rule in rules() if "watch" in rule["verbs"] for name in rule["resources"]}
    patched = {name for rule in rules() if "patch" in rule["verbs"] for name in rule["resources"]}
    for kind in KINDS:
        assert kind.FACTS.plural in watched
        assert f"{kind.FACTS.plural}/status" in patched


def test_the_pod_meets_the_restricted_standard() -> None:
    text = (CHART / "templates" / "deployment.yaml").read_text()
    for promise in (
        "runAsNonRoot: true",
        "allowPrivilegeEscalation: false",
        "readOnlyRootFilesystem: true",
        "drop: [ALL]",
        "type: RuntimeDefault",
    ):
        assert promise in text
    assert not re.search(r"hostNetwork|hostPath|privileged", text)


def test_no_registry_is_named_by_default() -> None:
    assert yaml.safe_load((CHART / "values.yaml").read_text())["image"]["repository"] == ""
