"""Tenants that do not give up: each change is repeated under its Idempotency-Key until it is acknowledged."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fixtures.tenants import signup_body
from tests.simulation.local_stack import LocalStack

ACKNOWLEDGED_SECONDS_MAX = 120.0
RETRY_SECONDS = 0.15
REQUEST_SECONDS_MAX = 20.0
MODEL = "mistral-small-3.2-24b-instruct"
SITES = {"essonne-1": "FR", "borlange-1": "SE", "frankfurt-1": "DE"}
_IN_FLIGHT = "idempotency_in_flight"


@dataclass(slots=True)
class Ack:
    """One acknowledged POST: what was sent and what was answered."""

    path: str
    key: str
    body: dict[str, Any] | None
    answer: dict[str, Any]
    tries: int


@dataclass(slots=True)
class Caller:
    """One identity. `acks` lists every POST that was acknowledged."""

    base_url: str
    secret: str = field(repr=False)
    name: str
    acks: list[Ack] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _client: httpx.Client | None = None

    def post(self, path: str, body: dict[str, Any] | None, key: str) -> dict[str, Any]:
        """POST until it is acknowledged. AssertionError for a refusal or when the bound is over."""
        response, tries = self._insist("POST", path, body, {"Idempotency-Key": key})
        answer = response.json() if response.content else {}
        self.acks.append(Ack(path, key, body, answer, tries))
        return dict(answer)

    def replay(self, ack: Ack) -> httpx.Response:
        return self._insist("POST", ack.path, ack.body, {"Idempotency-Key": ack.key})[0]

    def get(self, path: str) -> dict[str, Any]:
        return dict(self._insist("GET", path, None, {})[0].json())

    def delete_service(self, service_id: str) -> None:
        """Delete at whatever version there is; a lost acknowledgement is found by looking."""
        path = f"/v1/services/{service_id}"
        deadline = time.monotonic() + ACKNOWLEDGED_SECONDS_MAX
        while True:
            service = self.get(path)["service"]
            if service["status"] in ("DELETING", "DELETED"):
                return
            response = self._send("DELETE", path, None, {"If-Match": f'"{service["version"]}"'})
            assert response is None or response.status_code in (202, 204, 409, 412), response.text
            assert time.monotonic() < deadline, f"{path} could not be deleted"

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _insist(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[httpx.Response, int]:
        deadline = time.monotonic() + ACKNOWLEDGED_SECONDS_MAX
        tries = 0
        while True:
            tries += 1
            response = self._send(method, path, body, headers)
            if response is not None:
                assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
                return response, tries
            assert time.monotonic() < deadline, f"{method} {path} was not acknowledged: {self.refused[-3:]}"
            time.sleep(RETRY_SECONDS)

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> httpx.Response | None:
        """One try; None when it must be tried again: no answer, a server's error, or the key is in flight."""
        if self._client is None:
            authorization = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
            self._client = httpx.Client(
                base_url=self.base_url, headers=authorization, timeout=REQUEST_SECONDS_MAX
            )
        try:
            response = self._client.request(method, path, json=body, headers=headers)
        except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError) as err:
            self.refused.append(f"{method} {path}: {type(err).__name__}")
            self.close()
            return None
        if response.status_code >= 500 or response.status_code == 429:
            self.refused.append(f"{method} {path}: {response.status_code}")
            return None
        if response.status_code == 409 and response.json().get("code") == _IN_FLIGHT:
            return None
        return response


def operator_of(stack: LocalStack) -> Caller:
    """The platform operator."""
    environment = stack.environment
    return Caller(environment["REMPART_API_URL"], environment["REMPART_ADMIN_KEY"], "operator")


def sign_up(stack: LocalStack, name: str) -> Caller:
    """A new organisation's owner."""
    url = stack.environment["REMPART_API_URL"]
    anonymous = Caller(url, "", "anonymous")
    made = anonymous.post("/v1/signup", signup_body(name), f"signup-{name}")
    anonymous.close()
    return Caller(url, made["api_key"]["secret"], name)


def register_site(operator: Caller, code: str, country: str) -> None:
    """A datacenter run by a company of its own country."""
    entity = operator.post(
        "/v1/admin/legal_entities",
        {
            "name": f"Operator of {code}",
            "kind": "company",
            "seat": country,
            "central_administration": country,
            "principal_establishment": country,
            "evidence": "made up for this test",
        },
        f"entity-{code}",
    )["legal_entity"]["id"]
    site = {
        "code": code,
        "name": code,
        "country": country,
        "operator_entity_id": entity,
        "owner_entity_id": entity,
        "power_kw": 40_000,
        "rack_kw_max": 130,
        "pue_milli": 1200,
        "cells": [{"name": f"{code}-a"}],
    }
    operator.post("/v1/admin/datacenters", site, f"site-{code}")


def register_pool(operator: Caller, site: str, name: str, replicas: int) -> None:
    """Simulated eight-GPU machines."""
    pool = {
        "name": name,
        "datacenter": site,
        "cell": f"{site}-a",
        "replicas": replicas,
        "provider": "kwok",
        "instance_type": "b300-8x",
        "accelerator": {"sku": "nvidia-b300", "count": 8},
        "cpu_milli": 192_000,
        "memory_mib": 2_097_152,
        "watts_per_node": 14_500,
    }
    operator.post("/v1/admin/node_pools", pool, f"pool-{name}")


def definition(name: str, country: str) -> dict[str, Any]:
    """A service of one simulated GPU that always runs, in one country."""
    return {
        "name": name,
        "instance_types": [{"type": "b300-1x"}],
        "scalings": [{"min": 1, "max": 1}],
        "inference": {"model": MODEL, "is_simulated_allowed": True},
        "sovereignty": {"countries": [country]},
    }
