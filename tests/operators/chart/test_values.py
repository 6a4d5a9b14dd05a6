"""Which values the charts take, and what they say to those they do not."""

import copy
import re
from typing import Any

import orjson
import pytest
import yaml

from tests.operators.chart.charts import CASES, CHARTS, NAMES, REQUIRED, Helm, values_of

# Where additional names are the user's own: labels, annotations, quantities, and what a parent chart says.
OPEN = {
    "labels",
    "from",
    "global",
    "nodeSelector",
    "metricsFrom",
    "ingressFrom",
    "annotations",
    "requests",
    "limits",
}
BAD = [
    ("operators", "replica", 2, "additional properties 'replica' not allowed"),
    ("operators", "replicas", 0, "at '/replicas': minimum: got 0, want 1"),
    ("operators", "cell", "", "at '/cell': minLength: got 0, want 1"),
    ("operators", "image.digest", "latest", "at '/image/digest': 'latest' does not match pattern"),
    ("operators", "image.pullpolicy", "Always", "additional properties 'pullpolicy' not allowed"),
    ("operators", "redis.secretName", "", "at '/redis/secretName': minLength: got 0, want 1"),
    ("operators", "spool.size", "2 GB", "at '/spool/size': '2 GB' does not match pattern"),
    ("controlplane", "image.repository", "", "at '/image/repository': minLength: got 0, want 1"),
    ("controlplane", "existingSecrets.owner", "", "at '/existingSecrets/owner': minLength: got 0, want 1"),
    ("controlplane", "existingSecrets.password", "x", "additional properties 'password' not allowed"),
    ("controlplane", "gatewayDomain", "a..b", "at '/gatewayDomain': 'a..b' does not match pattern"),
    ("controlplane", "isSignupOpen", "yes", "at '/isSignupOpen': got string, want boolean"),
    ("controlplane", "watcher.replicas", 2, "additional properties 'replicas' not allowed"),
    ("controlplane", "api.replicas", 1.5, "at '/api/replicas': got number, want integer"),
    ("controlplane", "networkPolicy.dataCidrs", ["10.0.0.1"], "'10.0.0.1' does not match pattern"),
    ("controlplane", "logLevel", "LOUD", "at '/logLevel': value must be one of"),
    ("gateway", "datacenter", "Essonne 1", "at '/datacenter': 'Essonne 1' does not match pattern"),
    ("gateway", "envoyImage.repository", "", "at '/envoyImage/repository': minLength: got 0, want 1"),
    ("gateway", "existingSecret", "", "at '/existingSecret': minLength: got 0, want 1"),
    ("gateway", "drainSeconds", 0, "at '/drainSeconds': minimum: got 0, want 5"),
    ("gateway", "service.type", "ExternalName", "at '/service/type': value must be one of"),
    ("gateway", "tolerations", [{"keys": "a"}], "additional properties 'keys' not allowed"),
    ("gateway", "ingest.url", "api.example", "at '/ingest/url': 'api.example' does not match pattern"),
    (
        "gateway",
        "ingest.url",
        "http://api.example",
        "ingest.secretName: name the Secret with the usage producers'",
    ),
    ("gateway", "ingest.secretName", "keys", "ingest.url: say where usage is reported to"),
    (
        "operators",
        "ingest.url",
        "http://api.example",
        "ingest.secretName: name the Secret with the usage producers'",
    ),
    ("operators", "ingest.secretName", "keys", "ingest.url: say where usage is reported to"),
    (
        "controlplane",
        "existingSecrets.producerKey",
        "k",
        "is registered together with existingSecrets.adminKey",
    ),
    (
        "controlplane",
        "ingress.apiHost",
        "https://api.example",
        "at '/ingress/apiHost': 'https://api.example' does",
    ),
    (
        "controlplane",
        "ingress.apiHost",
        "api.example",
        "ingress.tlsSecret: name the Secret with the certificate",
    ),
    (
        "controlplane",
        "",
        {"portal": {"enabled": False}, "ingress": {"portalHost": "c.example", "tlsSecret": "t"}},
        "ingress.portalHost leads nowhere: portal.enabled is false.",
    ),
]


def changed(chart: str, path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(REQUIRED[chart])
    if not path:
        return result | dict(value)
    *parents, last = path.split(".")
    node = result
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    return result


@pytest.mark.parametrize(("chart", "kind"), CASES)
def test_a_chart_passes_helms_own_strict_lint(helm: Helm, chart: str, kind: str) -> None:
    done = helm.run("lint", "--strict", str(CHARTS / chart), values=values_of(chart, kind))
    assert done.returncode == 0, done.stdout
    assert "1 chart(s) linted, 0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("chart", NAMES)
def test_what_only_the_installer_knows_has_no_default(helm: Helm, chart: str) -> None:
    done = helm.try_template(chart, {})
    assert done.returncode != 0
    assert "at '/image/repository': minLength: got 0, want 1" in done.stderr


@pytest.mark.parametrize(("chart", "path", "value", "sentence"), BAD)
def test_a_bad_value_is_refused_with_its_place_and_reason(
    helm: Helm, chart: str, path: str, value: Any, sentence: str
) -> None:
    done = helm.try_template(chart, changed(chart, path, value))
    assert done.returncode != 0
    assert f"rempart-{chart}" in done.stderr
    assert sentence in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("chart", NAMES)
def test_every_object_of_a_schema_is_closed(chart: str) -> None:
    def check(node: dict[str, Any], name: str) -> int:
        count = 0
        if node.get("type") == "object" and name not in OPEN:
            assert node.get("additionalProperties") is False, name
            count = 1
        count += sum(check(child, child_name) for child_name, child in node.get("properties", {}).items())
        return count + (check(node["items"], name) if isinstance(node.get("items"), dict) else 0)

    assert check(orjson.loads((CHARTS / chart / "values.schema.json").read_bytes()), "values") > 5


@pytest.mark.parametrize("chart", NAMES)
def test_every_value_that_a_template_reads_exists(chart: str) -> None:
    defaults = yaml.safe_load((CHARTS / chart / "values.yaml").read_text(encoding="utf-8"))
    for template in (CHARTS / chart / "templates").iterdir():
        for path in re.findall(r"\.Values\.([A-Za-z.]+)", template.read_text(encoding="utf-8")):
            node: Any = defaults
            for part in path.split("."):
                assert part in node, f"{template.name}: .Values.{path}"
                node = node[part]


@pytest.mark.parametrize("chart", NAMES)
def test_no_registry_is_named_by_default(chart: str) -> None:
    defaults = yaml.safe_load((CHARTS / chart / "values.yaml").read_text(encoding="utf-8"))
    images = [value for key, value in defaults.items() if key.lower().endswith("image")]
    assert images
    assert [image["repository"] for image in images] == [""] * len(images)
