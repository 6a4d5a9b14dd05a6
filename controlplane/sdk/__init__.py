"""Python client of Rempart's REST door; it knows HTTP and nothing of the server's rooms."""

from controlplane.sdk.client import Rempart
from controlplane.sdk.errors import (
    ApiError,
    Conflict,
    ConnectionLost,
    DeploymentFailed,
    Forbidden,
    InvalidRequest,
    NotFound,
    SdkError,
    Unauthenticated,
    VersionChanged,
    WaitTimedOut,
)
from controlplane.sdk.inference import AsyncGateway, Gateway

__all__ = [
    "ApiError",
    "AsyncGateway",
    "Conflict",
    "ConnectionLost",
    "DeploymentFailed",
    "Forbidden",
    "Gateway",
    "InvalidRequest",
    "NotFound",
    "Rempart",
    "SdkError",
    "Unauthenticated",
    "VersionChanged",
    "WaitTimedOut",
]
