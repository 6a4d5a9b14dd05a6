"""What each chart is given: the values of `helm/<chart>/values.yaml` from a plan. Pure."""

from __future__ import annotations

from typing import Any

from infra.components.plan import CellPlan, ControlPlanePlan, GatewayPlan, Image

Values = dict[str, Any]


def controlplane_values(plan: ControlPlanePlan) -> Values:
    secrets = {"owner": plan.owner_secret, "runtime": plan.runtime_secret}
    if plan.admin_key_secret is not None:
        secrets["adminKey"] = plan.admin_key_secret
    if plan.kubeconfig_secret is not None:
        secrets["kubeconfig"] = plan.kubeconfig_secret
    return {
        "image": image_values(plan.image),
        "existingSecrets": secrets,
        "gatewayDomain": plan.gateway_domain,
        "isSignupOpen": plan.is_signup_open,
        "api": {"replicas": plan.api_replicas},
    }


def operators_values(plan: CellPlan) -> Values:
    return {
        "cell": plan.cell,
        "image": image_values(plan.image),
        "redis": {"secretName": plan.redis_secret},
    }


def gateway_values(plan: GatewayPlan, datacenter: str, image: Image) -> Values:
    # The chart knows no pull secrets of its own for Envoy: a pod has one list, the image's.
    return {
        "datacenter": datacenter,
        "image": image_values(image),
        "envoyImage": {
            key: value for key, value in image_values(plan.envoy_image).items() if key != "pullSecrets"
        },
        "existingSecret": plan.existing_secret,
        "replicas": plan.replicas,
        "gatewayDomain": plan.domain,
        "names": list(plan.names),
    }


def image_values(image: Image) -> Values:
    """Only what was said: an empty digest is none."""
    values: Values = {"repository": image.repository}
    if image.tag:
        values["tag"] = image.tag
    if image.digest is not None:
        values["digest"] = image.digest
    if image.pull_secrets:
        values["pullSecrets"] = list(image.pull_secrets)
    return values
