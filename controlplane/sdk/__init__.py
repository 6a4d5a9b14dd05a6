"""Python client of Rempart's REST door; it knows HTTP and nothing of the server's rooms."""

from controlplane.sdk.client import Rempart, Resource
from controlplane.sdk.errors import ApiError, ConnectionLost, DeploymentFailed, WaitTimedOut

__all__ = ["ApiError", "ConnectionLost", "DeploymentFailed", "Rempart", "Resource", "WaitTimedOut"]
