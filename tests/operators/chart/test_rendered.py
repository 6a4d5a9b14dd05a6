"""What the charts promise about every object they render."""

import re
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest

from controlplane.entrypoints.api import create_app
from controlplane.plumbing.deliveries import Backlog, gauges_of
from controlplane.plumbing.metrics import LOOP_SUCCEEDED, REFUSALS, REQUESTS
from controlplane.plumbing.retention import UNFINISHED
from controlplane.plumbing.settings import Settings
from tests.operators.chart.charts import (
    CASES,
    CHARTS,
    FULL,
    NAMES,
    RELEASE,
    REQUIRED,
    Helm,
    Object,
    containers_of,
    is_selected,
    of_kind,
    pod_of,
    readers_in_contracts,
    rules_of,
    values_of,
    workloads,
)

# Each render of these differs, or depends on the cluster: a GitOps controller would never come to rest.
UNSTABLE = re.compile(r"\b(rand\w+|uuidv4|now|date\w*|lookup|gen[A-Z]\w+|htpasswd|bcrypt|getHostByName)\b")
SECRET_SETTINGS = (
    "DATABASE_URL",
    "REMPART_DATABASE_URL",
    "REMPART_SYSTEM_DATABASE_URL",
    "REDIS_URL",
    "REMPART_HASH_KEYS",
    "REMPART_SEALING_KEYS",
    "REMPART_SESSION_KEYS",
    "REMPART_TOKEN_KEYS",
)


@pytest.fixture(params=CASES, ids="-".join)
def objects(request: pytest.FixtureRequest, helm: Helm) -> list[Object]:
    chart, kind = request.param
    return helm.objects(chart, values_of(chart, kind))


def environment_of(container: Object) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


@pytest.mark.parametrize("chart", NAMES)
def test_no_template_asks_for_chance_time_or_the_cluster(helm: Helm, chart: str) -> None:
    for template in (CHARTS / chart / "templates").iterdir():
        for action in re.findall(r"\{\{.*?\}\}", template.read_text(encoding="utf-8"), re.DOTALL):
            assert not UNSTABLE.search(action), f"{template.name}: {action}"
    assert helm.template(chart, FULL[chart]) == helm.template(chart, FULL[chart])


def test_every_container_is_restricted_bounded_and_pinned(objects: list[Object]) -> None:
    for name, workload in workloads(objects).items():
        spec = pod_of(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in containers_of(workload):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"], name
            assert "memory" in container["resources"]["limits"], name
            assert re.fullmatch(r"registry\.example/\S+(@sha256:[0-9a-f]{64}|:v[0-9.]+)", container["image"])


def test_a_token_is_mounted_only_where_a_right_needs_it(objects: list[Object]) -> None:
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    bound = {
        subject["name"]
        for binding in of_kind(objects, "ClusterRoleBinding", "RoleBinding")
        for subject in binding["subjects"]
    }
    for workload in workloads(objects).values():
        spec = pod_of(workload)
        has_token = spec["automountServiceAccountToken"]
        assert has_token == (spec.get("serviceAccountName", "default") in bound)


def test_no_right_is_a_wildcard_reads_secrets_or_escalates(objects: list[Object]) -> None:
    for group, resource, verb, _ in rules_of(objects) | rules_of(objects, "Role"):
        assert "*" not in group + resource + verb
        assert not (resource == "secrets" and verb in {"get", "list", "watch"})
        assert verb not in {"escalate", "bind", "impersonate", "deletecollection"}
        assert resource not in {"clusterroles", "clusterrolebindings", "roles", "rolebindings"}


def test_every_pod_is_denied_what_no_policy_allows(objects: list[Object]) -> None:
    policies = of_kind(objects, "NetworkPolicy")
    for name, workload in workloads(objects).items():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        types = {
            kind
            for policy in policies
            if is_selected(policy["spec"]["podSelector"], labels)
            for kind in policy["spec"]["policyTypes"]
        }
        assert types == {"Ingress", "Egress"}, name
    for policy in policies:
        for rule in policy["spec"].get("egress", []):
            # To anywhere on any port would be no policy at all.
            assert rule.get("ports") or rule.get("to")


@pytest.mark.parametrize("chart", NAMES)
def test_policies_and_budgets_can_be_left_to_someone_else(helm: Helm, chart: str) -> None:
    off = {"networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}}
    rendered = helm.objects(chart, {**REQUIRED[chart], **off})
    assert not of_kind(rendered, "NetworkPolicy", "PodDisruptionBudget")
    assert workloads(rendered)


def test_every_server_has_a_budget_and_is_spread(objects: list[Object]) -> None:
    budgets = of_kind(objects, "PodDisruptionBudget")
    for workload in of_kind(objects, "Deployment", "StatefulSet"):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert len([b for b in budgets if is_selected(b["spec"]["selector"], labels)]) == 1
        assert is_selected(workload["spec"]["selector"], labels)
        (spread,) = pod_of(workload)["topologySpreadConstraints"]
        assert is_selected(spread["labelSelector"], labels)
    for workload in of_kind(objects, "Job"):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert not [b for b in budgets if is_selected(b["spec"]["selector"], labels)]


def test_every_server_is_asked_whether_it_lives_and_whether_it_is_ready(objects: list[Object]) -> None:
    for name, workload in workloads(objects).items():
        probed = {
            kind
            for container in containers_of(workload)
            for kind in ("startup", "liveness", "readiness")
            if f"{kind}Probe" in container
        }
        wanted = set() if workload["kind"] == "Job" else {"startup", "liveness", "readiness"}
        assert probed == wanted, name
        for container in containers_of(workload):
            for probe in (container.get("livenessProbe", {}), container.get("readinessProbe", {})):
                # A command starts Python, for which the default of one second is short.
                assert "exec" not in probe or probe["timeoutSeconds"] >= 5


def test_services_lead_to_pods_of_their_own(objects: list[Object]) -> None:
    for service in of_kind(objects, "Service"):
        targets = [
            workload
            for workload in workloads(objects).values()
            if is_selected(
                {"matchLabels": service["spec"]["selector"]},
                workload["spec"]["template"]["metadata"]["labels"],
            )
        ]
        (target,) = targets
        names = {port["name"] for each in containers_of(target) for port in each.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


def test_every_program_exists(objects: list[Object]) -> None:
    for workload in workloads(objects).values():
        for container in containers_of(workload):
            if container["command"][0] == "python":
                assert container["command"][1] == "-m"
                assert find_spec(container["command"][2]) is not None
            else:
                assert container["command"] == ["envoy"]


def test_names_stay_within_bounds_for_the_longest_release(helm: Helm) -> None:
    for chart in NAMES:
        done = helm.run(
            "template", "r" * 53, str(CHARTS / chart), "--kube-version=v1.36.3", values=FULL[chart]
        )
        assert done.returncode == 0, done.stderr
        names = re.findall(r"^  name: (\S+)$", done.stdout, re.MULTILINE)
        assert len(names) >= 6
        assert max(map(len, names)) <= 63 + len("default-")


class TestControlPlane:
    def test_each_program_reads_the_secret_settings_that_the_contract_gives_it(self, helm: Helm) -> None:
        found = workloads(helm.objects("controlplane", FULL["controlplane"]))
        assert set(found) == {"api", "worker", "beat", "relay", "watcher", "portal", "migrate", "seed"}
        for variable in SECRET_SETTINGS:
            readers = {
                name
                for name, workload in found.items()
                if variable in environment_of(containers_of(workload)[0])
            }
            allowed = readers_in_contracts(variable)
            if "migrations" in allowed:
                assert readers == {"migrate"}
            elif "all but migrations" in allowed:
                assert readers == set(found) - {"migrate"}
            else:
                assert readers == allowed & set(found)

    def test_every_secret_is_one_that_exists_before(self, helm: Helm) -> None:
        rendered = helm.objects("controlplane", FULL["controlplane"])
        assert not of_kind(rendered, "Secret", "ConfigMap")
        for name, workload in workloads(rendered).items():
            for variable, value in environment_of(containers_of(workload)[0]).items():
                is_secret = variable in SECRET_SETTINGS
                assert isinstance(value, dict) == is_secret, variable
                if is_secret:
                    wanted = "rempart-owner" if name == "migrate" else "rempart-runtime"
                    assert value["secretKeyRef"] == {"name": wanted, "key": variable}

    def test_the_schema_is_brought_up_before_anything_new_runs(self, helm: Helm) -> None:
        found = workloads(helm.objects("controlplane", FULL["controlplane"]))
        weights = []
        for name in ("migrate", "seed"):
            notes = found[name]["metadata"]["annotations"]
            assert notes["helm.sh/hook"] == "pre-install,pre-upgrade"
            assert "before-hook-creation" in notes["helm.sh/hook-delete-policy"]
            # Before an installation no account of this release exists.
            assert "serviceAccountName" not in pod_of(found[name])
            weights.append(int(notes["helm.sh/hook-weight"]))
        assert weights == sorted(set(weights))
        assert "seed" not in workloads(helm.objects("controlplane", REQUIRED["controlplane"]))

    def test_the_portal_reaches_the_api_the_gateway_and_redis_and_no_database(self, helm: Helm) -> None:
        rendered = helm.objects("controlplane", FULL["controlplane"])
        portal, api = (workloads(rendered)[name] for name in ("portal", "api"))
        told = environment_of(containers_of(portal)[0])
        services = {each["metadata"]["name"]: each for each in of_kind(rendered, "Service")}
        service = services[urlsplit(told["REMPART_API_URL"]).hostname]
        assert service["spec"]["selector"] == api["spec"]["selector"]["matchLabels"]
        assert urlsplit(told["REMPART_API_URL"]).port == service["spec"]["ports"][0]["port"]
        assert told["REMPART_GATEWAY_URL"] == "http://eu-1-gateway.edge"
        assert not [name for name in told if "DATABASE_URL" in name]
        labels = portal["spec"]["template"]["metadata"]["labels"]
        mine = [
            policy
            for policy in of_kind(rendered, "NetworkPolicy")
            if is_selected(policy["spec"]["podSelector"], labels)
        ]
        assert egress_ports(mine) == {53, 6379, "http", 443}

    def test_each_named_host_gets_an_ingress_with_tls_to_its_service(self, helm: Helm) -> None:
        assert not of_kind(helm.objects("controlplane", REQUIRED["controlplane"]), "Ingress")
        rendered = helm.objects("controlplane", FULL["controlplane"])
        services = {each["metadata"]["name"] for each in of_kind(rendered, "Service")}
        found = {}
        for ingress in of_kind(rendered, "Ingress"):
            (rule,) = ingress["spec"]["rules"]
            (path,) = rule["http"]["paths"]
            found[rule["host"]] = path["backend"]["service"]["name"]
            assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "rempart-tls"}]
        assert found == {"api.example": f"{RELEASE}-api", "console.example": f"{RELEASE}-portal"}
        assert set(found.values()) <= services

    def test_the_portal_can_be_left_out(self, helm: Helm) -> None:
        values = {**REQUIRED["controlplane"], "portal": {"enabled": False}}
        assert "portal" not in helm.template("controlplane", values)

    def test_only_the_worker_asks_outside_and_only_when_told_where(self, helm: Helm) -> None:
        assert 8443 not in egress_ports(helm.objects("controlplane", REQUIRED["controlplane"]))
        rendered = helm.objects("controlplane", FULL["controlplane"])
        for name, workload in workloads(rendered).items():
            told = environment_of(containers_of(workload)[0])
            assert ("REMPART_VIES_URL" in told) == (name == "worker")
            labels = workload["spec"]["template"]["metadata"]["labels"]
            mine = [
                policy
                for policy in of_kind(rendered, "NetworkPolicy")
                if is_selected(policy["spec"]["podSelector"], labels)
            ]
            assert (8443 in egress_ports(mine)) == (name == "worker")

    def test_the_probes_ask_what_the_api_answers(self, helm: Helm) -> None:
        container = containers_of(workloads(helm.objects("controlplane", REQUIRED["controlplane"]))["api"])[0]
        paths = {getattr(route, "path", "") for route in create_app(Settings(environment="local")).routes}
        probed = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")}
        assert probed == {"/healthz", "/readyz"}
        assert probed <= paths

    def test_the_portals_probes_ask_what_people_need(self, helm: Helm) -> None:
        pod = workloads(helm.objects("controlplane", REQUIRED["controlplane"]))["portal"]
        container = containers_of(pod)[0]
        asked = {
            kind: container[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "liveness", "readiness")
        }
        assert asked == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}

    def test_a_cell_elsewhere_is_reached_by_its_kubeconfig_and_no_account(self, helm: Helm) -> None:
        rendered = helm.objects("controlplane", FULL["controlplane"])
        assert not of_kind(rendered, "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
        reached = {
            name
            for name, workload in workloads(rendered).items()
            if "KUBECONFIG" in environment_of(containers_of(workload)[0])
        }
        assert reached == {"api", "worker", "watcher"}
        assert reached == {each.split(" ")[0] for each in readers_in_contracts("KUBECONFIG")} - {"operators"}


@pytest.mark.parametrize("chart", ["gateway", "operators"])
class TestProducers:
    def test_what_was_used_is_reported_with_a_key_that_may_come_later(self, helm: Helm, chart: str) -> None:
        rendered = helm.objects(chart, FULL[chart])
        (workload,) = workloads(rendered).values()
        container = containers_of(workload)[0]
        told = environment_of(container)
        url = FULL[chart]["ingest"]["url"]
        assert told["REMPART_INGEST_URL"] == url
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "ingest"]
        (volume,) = [each for each in pod_of(workload)["volumes"] if each["name"] == "ingest"]
        assert mount["readOnly"] is True
        assert told["REMPART_INGEST_KEY_FILE"] == f"{mount['mountPath']}/key"
        assert volume["secret"]["secretName"] == "rempart-ingest"
        assert volume["secret"]["optional"] is True
        assert volume["secret"]["items"] == [{"key": "INGEST_KEY", "path": "key"}]
        assert FULL[chart]["ingest"].get("port", 8080) in egress_ports(rendered)

    def test_without_an_address_nothing_is_reported_and_no_way_is_open(self, helm: Helm, chart: str) -> None:
        rendered = helm.objects(chart, REQUIRED[chart])
        (workload,) = workloads(rendered).values()
        for container in containers_of(workload):
            assert not [name for name in environment_of(container) if "INGEST" in name]
            assert "ingest" not in {each["name"] for each in container["volumeMounts"]}
        assert 8080 not in egress_ports(rendered)


def egress_ports(objects: list[Object]) -> set[int | str]:
    return {
        port["port"]
        for policy in of_kind(objects, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for port in rule.get("ports", [])
    }


def test_the_operators_elect_their_leader_where_they_may(helm: Helm) -> None:
    rendered = helm.objects("operators", REQUIRED["operators"], "elsewhere")
    (role,) = of_kind(rendered, "Role")
    assert role["metadata"]["namespace"] == "elsewhere"
    (container,) = containers_of(workloads(rendered)[f"{RELEASE}-operators"])
    assert environment_of(container)["POD_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


@pytest.mark.case("W12")
def test_each_program_of_the_control_plane_can_be_scraped_and_each_alert_asks_for_a_metric_that_exists(
    helm: Helm,
) -> None:
    objects = helm.objects("controlplane", FULL["controlplane"])
    (monitor,) = of_kind(objects, "PodMonitor")
    (wall,) = (
        policy
        for policy in of_kind(objects, "NetworkPolicy")
        if policy["metadata"]["name"].endswith("-metrics")
    )
    serving = [workload for workload in workloads(objects).values() if workload["kind"] == "Deployment"]
    assert len(serving) == 6
    for workload in serving:
        template = workload["spec"]["template"]
        assert is_selected(monitor["spec"]["selector"], template["metadata"]["labels"])
        assert is_selected(wall["spec"]["podSelector"], template["metadata"]["labels"])
        (container,) = template["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        environment = environment_of(container)
        assert environment["REMPART_METRICS_PORT"] == str(ports["metrics"])
        assert environment["REMPART_METRICS_HOST"] == "0.0.0.0"
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
    (rule,) = of_kind(objects, "PrometheusRule")
    expressions = [alert["expr"] for group in rule["spec"]["groups"] for alert in group["rules"]]
    asked = set(re.findall(r"\brempart_\w+", " ".join(expressions)))
    assert asked
    assert asked <= served_metrics()


def served_metrics() -> set[str]:
    """The names under which the control plane's programs really serve their metrics, asked of a registry."""
    backlog = Backlog(unrouted=0, pending=0, dead=0, oldest_seconds=0.0)
    names = {metric.name for metric in gauges_of(backlog)}
    for metric in (REQUESTS, REFUSALS, LOOP_SUCCEEDED, UNFINISHED):
        for family in metric.collect():
            names |= {family.name, f"{family.name}_total"}
    return names


@pytest.mark.case("X14")
def test_the_gateways_metrics_can_be_scraped_by_those_who_are_named_alone(helm: Helm) -> None:
    objects = helm.objects("gateway", FULL["gateway"])
    (monitor,), (wall,) = of_kind(objects, "PodMonitor"), of_kind(objects, "NetworkPolicy")
    (workload,) = workloads(objects).values()
    assert is_selected(monitor["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"])
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (gateway,) = (each for each in containers_of(workload) if each["name"] == "gateway")
    (port,) = gateway["ports"]
    assert endpoint["port"] == port["name"] == "metrics"
    assert environment_of(gateway)["REMPART_METRICS_PORT"] == str(port["containerPort"])
    assert environment_of(gateway)["REMPART_METRICS_HOST"] == "0.0.0.0"
    (rule,) = (each for each in wall["spec"]["ingress"] if each["ports"][0]["port"] == "metrics")
    named = FULL["gateway"]["monitoring"]["from"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": named}}]
    unnamed = of_kind(helm.objects("gateway", REQUIRED["gateway"]), "NetworkPolicy")[0]["spec"]["ingress"]
    assert all(each["ports"][0]["port"] != "metrics" for each in unnamed)
