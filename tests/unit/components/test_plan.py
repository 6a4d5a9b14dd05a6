"""Plans: what is refused, where, and without ever repeating what was typed where a Secret's name belongs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controlplane.kernel.jurisdiction import UNION
from infra.components.plan import Plan, PlanRefused, read_plan
from infra.components.residency_rules import require_eu, residency_labels
from infra.components.values_rules import controlplane_values, gateway_values, operators_values
from tests.unit.components.plans import document, plan

VALUE = "postgresql://rempart:hunter2@db/rempart"


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_plan_is_read_from_yaml(tmp_path: Path) -> None:
    assert read_plan(write(tmp_path, document())) == plan()


def test_a_secrets_value_where_its_name_belongs_is_refused_and_not_repeated(tmp_path: Path) -> None:
    content = document()
    content["control_plane"]["owner_secret"] = VALUE
    with pytest.raises(PlanRefused, match=r"control_plane\.owner_secret") as refused:
        read_plan(write(tmp_path, content))
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ValidationError) as direct:
        Plan.model_validate(content)
    assert "hunter2" not in str(direct.value)


@pytest.mark.parametrize("country", ["US", "GB", "CH", "fr", "", "EU", "NC", "GL"])
def test_no_part_may_stand_outside_the_union(country: str) -> None:
    content = document()
    content["cells"][1]["country"] = country
    with pytest.raises(ValidationError, match=r"cells\.1\.country"):
        Plan.model_validate(content)


@given(st.text(max_size=4))
def test_residency_is_said_of_territories_of_the_union_only(text: str) -> None:
    if text in UNION:
        assert residency_labels(text)["rempart.eu/country"] == text.lower()
    else:
        with pytest.raises(ValueError, match="no territory"):
            require_eu(text)


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("wait_seconds", {"wait_seconds": 4000}),
        ("nonsense", {"nonsense": 1}),
        ("each cell can be named once", {"cells": document()["cells"][:1] * 2}),
        ("cannot be read", "a: [b"),
        ("needs a digest or a tag", {"cells": [document()["cells"][0] | {"image": {"repository": "r"}}]}),
    ],
)
def test_what_is_wrong_is_named(place: str, content: Any, tmp_path: Path) -> None:
    whole = content if isinstance(content, str) else document(**content)
    with pytest.raises(PlanRefused, match=place):
        read_plan(write(tmp_path, whole))


def test_a_plan_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanRefused, match="FileNotFoundError"):
        read_plan(tmp_path / "nowhere.yaml")


def test_values_say_only_what_the_plan_says() -> None:
    whole = plan()
    assert whole.control_plane is not None
    assert "kubeconfig" not in controlplane_values(whole.control_plane)["existingSecrets"]
    cell = whole.cells[0]
    assert operators_values(cell)["cell"] == "essonne-1-a"
    assert cell.gateway is not None
    values = gateway_values(cell.gateway, cell.datacenter, cell.image)
    assert values["envoyImage"] == {"repository": "registry.example/envoy", "tag": "v1.40.0"}
    assert "tag" not in values["image"]


def test_the_operators_page_shows_a_plan_that_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "operators" / "install-with-pulumi.md"
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    read = read_plan(write(tmp_path, shown))
    assert read.control_plane is not None
    assert read.control_plane.api_replicas == 3
    assert read.cells[0].gateway is not None
