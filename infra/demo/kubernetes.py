"""Chapter 7: everything again through kubectl."""

from __future__ import annotations

import json

from infra.demo.stage import Stage
from infra.demo.teller import Teller, require
from infra.demo.tenant import Tenant
from infra.demo.waiting import wait_until


def tell(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    teller.say("kubectl get gnp,nc,idp -A")
    teller.quote(stage.kubectl("get", "gnp,nc,idp", "-A"))
    stage.kubectl("wait", "--for=condition=Ready", "gnp", "--all", "--timeout=60s")
    stage.kubectl("wait", "--for=condition=Ready", "idp", "--all", "-A", "--timeout=60s")
    teller.say("kubectl wait --for=condition=Ready: pools and deployments are ready")
    teller.say("kubectl explain idp.spec.scaling")
    teller.quote(stage.kubectl("explain", "idp.spec.scaling"))
    resources = json.loads(stage.kubectl("get", "idp", "-A", "-o", "json"))["items"]
    victim = next(r for r in resources if r["spec"]["serviceName"] == "assistant")
    name, namespace, uid = (victim["metadata"][field] for field in ("name", "namespace", "uid"))
    stage.kubectl("delete", "idp", name, "-n", namespace, "--wait=true")

    def healed() -> bool:
        found = json.loads(stage.kubectl("get", "idp", "-n", namespace, "-o", "json"))["items"]
        return any(r["metadata"]["name"] == name and r["metadata"]["uid"] != uid for r in found)

    wait_until(teller, "the deleted custom resource coming back", healed, 60)
    stage.kubectl("wait", "--for=condition=Ready", f"idp/{name}", "-n", namespace, "--timeout=60s")
    require(tenant.service, "the service still exists")
    teller.say(f"deleted {name} by hand: it came back by itself and is ready")
