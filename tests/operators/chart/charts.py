"""Renders the charts with the real helm. Values: only what is required, and everything that can be said."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.local.build import program
from infra.local.versions import HELM, KUBERNETES

Object = dict[str, Any]
Values = dict[str, Any]

CHARTS = Path(__file__).resolve().parents[3] / "helm"
NAMES = ("operators", "controlplane", "gateway")
RELEASE = "eu-1"
HELM_SECONDS_MAX = 60.0

# `.example` is reserved for documentation (RFC 2606): nothing answers there.
IMAGE = {"repository": "registry.example/rempart", "digest": "sha256:" + "0" * 64}
_PLACED = {
    "nodeSelector": {"rempart.eu/role": "platform"},
    "tolerations": [{"key": "platform", "operator": "Exists", "effect": "NoSchedule"}],
}
_RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}

REQUIRED: dict[str, Values] = {
    "operators": {"cell": "essonne-1a", "image": IMAGE, "redis": {"secretName": "rempart-redis"}},
    "controlplane": {
        "image": IMAGE,
        "existingSecrets": {"owner": "rempart-owner", "runtime": "rempart-runtime"},
        "gatewayDomain": "models.example",
    },
    "gateway": {
        "image": IMAGE,
        "envoyImage": {"repository": "registry.example/envoy", "tag": "v1.40.0"},
        "existingSecret": "rempart-gateway",
        "datacenter": "essonne-1",
    },
}
FULL: dict[str, Values] = {
    "operators": {
        **REQUIRED["operators"],
        **_PLACED,
        "image": {**IMAGE, "pullSecrets": ["pull"], "pullPolicy": "Always"},
        "replicas": 3,
        "resources": _RESOURCES,
        "spool": {"size": "512Mi"},
        "ingest": {"url": "https://api.example", "secretName": "rempart-ingest", "port": 443},
        "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "controlplane": {
        **REQUIRED["controlplane"],
        **_PLACED,
        "monitoring": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "from": {"kubernetes.io/metadata.name": "monitoring"},
        },
        "image": {**IMAGE, "pullSecrets": ["pull"]},
        "existingSecrets": {
            "owner": "rempart-owner",
            "runtime": "rempart-runtime",
            "adminKey": "rempart-admin",
            "producerKey": "rempart-ingest",
            "kubeconfig": "rempart-cell",
        },
        "isSignupOpen": True,
        "isApprovalNeeded": False,
        "terms": {"version": "2026-11", "url": "https://cloud.example/terms"},
        "trustedProxies": ["10.2.0.0/16", "fd00:2::/64"],
        "rates": {"readsPerMinute": 6000, "failedSigninsPerMinute": 10},
        "portal": {"replicas": 3, "gatewayUrl": "http://eu-1-gateway.edge"},
        "ingress": {
            "className": "edge",
            "annotations": {"edge.example/proxy-body-size": "8m"},
            "apiHost": "api.example",
            "portalHost": "console.example",
            "tlsSecret": "rempart-tls",
        },
        "vies": {"url": "https://vies.example/rest", "port": 8443},
        "api": {"replicas": 3, "resources": _RESOURCES},
        "networkPolicy": {"ingressFrom": {"team": "edge"}, "dataCidrs": ["10.1.0.0/16", "fd00::/8"]},
    },
    "gateway": {
        **REQUIRED["gateway"],
        **_PLACED,
        "image": {**IMAGE, "pullSecrets": ["pull"]},
        "persistence": {"enabled": False, "size": "1Gi"},
        "ingest": {"url": "http://rempart-api.rempart:80", "secretName": "rempart-ingest"},
        "monitoring": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "from": {"kubernetes.io/metadata.name": "monitoring"},
        },
        "service": {"type": "LoadBalancer", "annotations": {"lb.example/zone": "a"}},
        "networkPolicy": {"ingressCidrs": ["10.0.0.0/8"], "dataCidrs": ["10.1.0.0/16"]},
    },
}
CASES = [(name, kind) for name in NAMES for kind in ("required", "full")]


def values_of(chart: str, kind: str) -> Values:
    """The values of a case of CASES."""
    return (REQUIRED if kind == "required" else FULL)[chart]


@dataclass(frozen=True, slots=True)
class Helm:
    """The built helm, with its own folders so that nobody's settings matter."""

    home: Path

    def run(self, *arguments: str, values: Values | None = None) -> "subprocess.CompletedProcess[str]":
        """Run helm, whatever it answers; `values` go in as a file."""
        command = [str(program(HELM, "helm")), *arguments]
        if values is not None:
            command += ["--values", "-"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            **{f"HELM_{part}_HOME": str(self.home / part) for part in ("CACHE", "CONFIG", "DATA")},
        }
        return subprocess.run(
            command,
            input=yaml.safe_dump(values) if values is not None else None,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HELM_SECONDS_MAX,
            check=False,
        )

    def template(self, chart: str, values: Values, namespace: str = "rempart-system") -> str:
        """What helm would install. Errors: AssertionError with its complaint."""
        done = self.try_template(chart, values, namespace)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_template(
        self, chart: str, values: Values, namespace: str = "rempart-system"
    ) -> "subprocess.CompletedProcess[str]":
        """Render, whatever helm answers."""
        path, version = str(CHARTS / chart), KUBERNETES.version
        return self.run(
            "template", RELEASE, path, f"--namespace={namespace}", f"--kube-version={version}", values=values
        )

    def objects(self, chart: str, values: Values, namespace: str = "rempart-system") -> list[Object]:
        """The rendered objects."""
        return [each for each in yaml.safe_load_all(self.template(chart, values, namespace)) if each]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """Those of one of the kinds."""
    return [each for each in objects if each["kind"] in kinds]


def workloads(objects: list[Object]) -> dict[str, Object]:
    """Everything that makes pods, by its component or else by its name."""
    found = of_kind(objects, "Deployment", "StatefulSet", "Job")
    return {
        each["metadata"]["labels"].get("app.kubernetes.io/component", each["metadata"]["name"]): each
        for each in found
    }


def pod_of(workload: Object) -> Object:
    """The pod template's spec."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def containers_of(workload: Object) -> list[Object]:
    """All containers, sidecars first."""
    spec = pod_of(workload)
    return [*spec.get("initContainers", []), *spec["containers"]]


def is_selected(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector, as far as these charts use it, takes these labels."""
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def rules_of(objects: list[Object], kind: str = "ClusterRole") -> set[tuple[str, str, str, str]]:
    """Every single right: API group, resource, verb, and the one name it is for (empty: any)."""
    return {
        (group, resource, verb, name)
        for role in of_kind(objects, kind)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def readers_in_contracts(variable: str) -> set[str]:
    """The programs that docs/contracts.md lets read an environment variable."""
    text = (CHARTS.parent / "docs" / "contracts.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{variable}` \| ([^|]+) \|", text, re.MULTILINE)
    assert row, variable
    return {each.split("(")[0].strip() for each in row.group(1).split(",")}
