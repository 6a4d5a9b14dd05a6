"""The operators' rights are those that their code uses: not one missing, not one more."""

import ast
from collections.abc import Iterator

import yaml

import operators.lib.objects as kinds
from infra.local.kwok import MANIFESTS
from operators.lib.objects import Resource
from tests.operators.chart.charts import CHARTS, REQUIRED, Helm, Object, rules_of

OPERATORS = CHARTS.parent / "operators"
# Method of the client, or of the manager that fills caches → verbs of the API server.
VERBS = {
    "get": ["get"],
    "find": ["get"],
    "list": ["list"],
    "store": ["list", "watch"],
    "create": ["create"],
    "patch": ["patch"],
    "patch_status": ["patch"],
    "replace": ["update"],
    "delete": ["delete"],
}
Right = tuple[str, str, str]


def rights_of_call(call: ast.Call) -> Iterator[Right]:
    """What one call of the client asks for; nothing if it is no such call."""
    if not isinstance(call.func, ast.Attribute):
        return
    method = call.func.attr
    if method == "evict":
        yield ("", "pods/eviction", "create")
    if method not in VERBS or not call.args or not isinstance(call.args[0], ast.Name):
        return
    resource = getattr(kinds, call.args[0].id, None)
    if not isinstance(resource, Resource):
        return
    words = {each.arg: each.value for each in call.keywords}
    part = words.get("subresource")
    assert part is None, "a call that names its subresource has to be told to this test"
    suffix = "/status" if method == "patch_status" else ""
    for verb in VERBS[method]:
        yield (resource.group, resource.plural + suffix, verb)


def rights_in_code() -> set[Right]:
    found: set[Right] = set()
    for path in OPERATORS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found.update(rights_of_call(node))
    return found


def local_objects(name: str) -> list[Object]:
    text = (MANIFESTS / "rbac.yaml").read_text(encoding="utf-8")
    named = [each for each in yaml.safe_load_all(text) if each["metadata"]["name"] == name]
    assert named
    return named


def test_the_operators_may_do_what_their_code_does_and_nothing_else(helm: Helm) -> None:
    rendered = helm.objects("operators", REQUIRED["operators"])
    granted = {right[:3] for right in rules_of(rendered) | rules_of(rendered, "Role")}
    # Only asked for where a cluster enforces it: an owner reference that holds up its owner's deletion.
    assert granted - rights_in_code() == {("rempart.eu", "gpunodepools/finalizers", "update")}
    assert rights_in_code() - granted == set()


def test_the_local_stack_gives_the_operators_the_charts_rights(helm: Helm) -> None:
    rendered = helm.objects("operators", REQUIRED["operators"])
    local = local_objects("rempart-operators")
    assert rules_of(local) == rules_of(rendered)
    assert rules_of(local, "Role") == rules_of(rendered, "Role")


def test_the_local_stack_gives_the_control_plane_the_charts_rights(helm: Helm) -> None:
    rendered = helm.objects("controlplane", REQUIRED["controlplane"])
    assert rules_of(local_objects("rempart-controlplane")) == rules_of(rendered)


def test_beyond_its_own_kinds_nodes_pods_and_what_concerns_their_drain_there_is_only_a_lease(
    helm: Helm,
) -> None:
    rendered = helm.objects("operators", REQUIRED["operators"])
    assert {group for group, *_ in rules_of(rendered)} == {"rempart.eu", "", "policy"}
    assert {resource for group, resource, *_ in rules_of(rendered) if not group} == {
        "events",
        "nodes",
        "pods",
        "pods/eviction",
    }
    names = {name for _, _, verb, name in rules_of(rendered, "Role") if verb != "create"}
    assert names == {"rempart-operators"}
