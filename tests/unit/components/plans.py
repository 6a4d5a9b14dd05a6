"""Plans for tests. `.example` is reserved for documentation (RFC 2606): nothing answers there."""

from __future__ import annotations

from typing import Any

from infra.components.plan import Plan

DIGEST = "sha256:" + "0" * 64
IMAGE = {"repository": "registry.example/rempart", "digest": DIGEST}
ENVOY = {"repository": "registry.example/envoy", "tag": "v1.40.0"}


def document(**changes: Any) -> dict[str, Any]:
    """A whole installation: a control plane, and two cells of which one has a gateway of its own."""
    return {
        "control_plane": {
            "country": "FR",
            "gateway_domain": "models.example",
            "image": IMAGE,
            "owner_secret": "rempart-owner",
            "runtime_secret": "rempart-runtime",
            "admin_key_secret": "rempart-admin",
        },
        "cells": [
            {
                "cell": "essonne-1-a", "datacenter": "essonne-1", "country": "FR", "image": IMAGE,
                "redis_secret": "rempart-redis",
                "gateway": {"envoy_image": ENVOY, "existing_secret": "rempart-gateway"},
            },
            {
                "cell": "lulea-1-a", "datacenter": "lulea-1", "country": "SE", "image": IMAGE,
                "redis_secret": "rempart-redis-lulea", "context": "lulea",
                "gateway": {"envoy_image": ENVOY, "existing_secret": "rempart-gateway-lulea"},
            },
        ],
        "wait_seconds": 60,
        **changes,
    }  # fmt: skip


def plan(**changes: Any) -> Plan:
    return Plan.model_validate(document(**changes))
