"""GPUNodePool → NodeClaim → Node: machines asked for, checked, and given back."""

from operators.nodepool.wiring import setup

__all__ = ["setup"]
