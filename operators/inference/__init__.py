"""Runs the replicas of InferenceDeployments: wakes, scales, drains, replaces, and says where they answer."""

from operators.inference.wiring import setup

__all__ = ["setup"]
