"""What other rooms and the programs may use of deployments."""

from __future__ import annotations

from controlplane.deployments.service_converge import converge
from controlplane.deployments.service_observe import (
    observe_inference_deployment,
    observe_inference_deployment_gone,
    observe_regional_deployment,
    record_wake,
    settle_inference_deployments,
)
from controlplane.deployments.service_read import get_deployment, get_service, list_services
from controlplane.deployments.service_route import read_snapshot

__all__ = [
    "converge",
    "get_deployment",
    "get_service",
    "list_services",
    "observe_inference_deployment",
    "observe_inference_deployment_gone",
    "observe_regional_deployment",
    "read_snapshot",
    "record_wake",
    "settle_inference_deployments",
]
