"""The operators' rights are those that their code uses: not one missing, not one more."""

import ast
from collections.abc import Iterator

import yaml

import operators.lib.objects as kinds
from infra.local.kwok import MANIFESTS
from infra.local.versions import KUBERNETES
from operators.lib.objects import Resource
from tests.operators.chart.charts import CHARTS, RELEASE, REQUIRED, Helm, Object, rules_of

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


def test_the_local_stack_guards_pools_with_the_charts_policies(helm: Helm) -> None:
    # The local control plane has one name, an installation's is in poolGuard.users.
    values = {**REQUIRED["operators"], "poolGuard": {"enabled": True, "users": ["rempart-controlplane"]}}
    rendered = {
        each["metadata"]["name"].removeprefix(f"{RELEASE}-"): each["spec"]
        for each in helm.objects("operators", values)
        if each["kind"] == "ValidatingAdmissionPolicy"
    }
    text = (MANIFESTS / "pool-guard.yaml").read_text(encoding="utf-8")
    local = {
        each["metadata"]["name"].removeprefix("rempart-"): each["spec"]
        for each in yaml.safe_load_all(text)
        if each["kind"] == "ValidatingAdmissionPolicy"
    }
    assert len(local) == 3
    assert rendered == local


def test_the_guard_knows_the_control_plane_by_the_name_that_its_chart_gives_it(helm: Helm) -> None:
    """Installed as the page says (release and namespace `rempart`), the defaults of both charts agree."""
    path = str(CHARTS / "controlplane")
    done = helm.run(
        "template", "rempart", path, "--namespace=rempart", f"--kube-version={KUBERNETES.version}",
        values=REQUIRED["controlplane"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accounts = {
        f"system:serviceaccount:rempart:{each['metadata']['name']}"
        for each in yaml.safe_load_all(done.stdout)
        if each and each["kind"] == "ServiceAccount"
    }
    values = yaml.safe_load((CHARTS / "operators" / "values.yaml").read_text(encoding="utf-8"))
    assert accounts & set(values["poolGuard"]["users"])
