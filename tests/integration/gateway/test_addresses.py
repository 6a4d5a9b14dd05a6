"""An addressed service answers itself or is refused: no name of a service ever leads to another one's place."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.gateway.rig import MODEL, Rig, Tenant
from tests.integration.gateway.scripted_engine import ScriptedEngine

CHAT = "/v1/chat/completions"
DOMAIN = "rempart.localhost"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}

LIVE = f"chat-aaaa1111.{DOMAIN}"
NAMES = {
    # What stands on this name, and the code of the answer; None: the service itself answers.
    "live": (LIVE, None),
    "pending, so without a route": (f"strict-de-bbbb2222.{DOMAIN}", "service_not_found"),
    "deleted": (f"old-cccc3333.{DOMAIN}", "service_not_found"),
    "paused": (f"paused-dddd4444.{DOMAIN}", "service_paused"),
    "draining": (f"draining-eeee5555.{DOMAIN}", "service_stopping"),
    "refused": (f"refused-ffff6666.{DOMAIN}", "jurisdiction_not_admissible"),
    "simulated": (f"simulated-gggg7777.{DOMAIN}", "simulated_capacity"),
    "of another project": (f"other-hhhh8888.{DOMAIN}", "service_not_found"),
    "never heard of": (f"nobody.{DOMAIN}", "service_not_found"),
    "below a service": (f"a.{LIVE}", "service_not_found"),
    "a service's label alone": ("chat-aaaa1111", "service_not_found"),
    "an address as a label": (f"127.0.0.1.{DOMAIN}", "service_not_found"),
    "of another domain": ("chat.example.test", "service_not_found"),
    "odd": ("..", "service_not_found"),
    "underscores": (f"a_b.{DOMAIN}", "service_not_found"),
}
OWN = ["127.0.0.1", "10.1.2.3", "[::1]", "localhost", DOMAIN, DOMAIN.upper(), f"{DOMAIN}."]
SPELLINGS = {
    "as it is": lambda host: host,
    "upper case": str.upper,
    "with a port": lambda host: f"{host}:8081",
    "with a dot": lambda host: f"{host}.",
    "with all of it": lambda host: f"{host.title()}.:443",
}


@pytest.fixture(scope="module")
def stranger() -> Tenant:
    return Tenant()


@pytest.fixture(autouse=True)
def _routes(rig: Rig, tenant: Tenant, stranger: Tenant, engine: ScriptedEngine) -> Iterator[None]:
    verdict = {"admissible": False, "policy_hash": "p", "decided_at": "", "reason": "US parent."}
    rig.publish_keys(tenant, stranger)
    live = tenant.route(hosts=[LIVE])
    rig.publish_routes(
        live,
        # Of services with one model the oldest answers to the model's name; which one is that is not asked here.
        tenant.route(model="paused", hosts=[NAMES["paused"][0]], state="paused"),
        tenant.route(model="draining", hosts=[NAMES["draining"][0]], state="draining"),
        tenant.route(model="refused", hosts=[NAMES["refused"][0]], verdict=verdict),
        tenant.route(model="simulated", hosts=[NAMES["simulated"][0]], simulated=True),
        stranger.route(hosts=[NAMES["of another project"][0]]),
    )
    rig.publish_endpoints(live, engine.port)
    yield
    assert all(_is_for(live, headers) for headers, _ in engine.seen)


def _is_for(route: dict[str, object], headers: dict[str, str]) -> bool:
    return headers.get("x-rempart-regional-deployment") == route["regional_deployment_id"]


@pytest.mark.case("S2")
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_service_answers_on_its_name_itself_or_not_at_all(
    client: httpx.Client, engine: ScriptedEngine, name: str, spelling: str
) -> None:
    host, code = NAMES[name]
    answer = client.post(CHAT, json=CALL, headers={"host": SPELLINGS[spelling](host)})
    if code is None:
        assert answer.status_code == 200, answer.text
        assert len(engine.seen) == 1
    else:
        assert answer.status_code in {403, 404, 503}
        assert answer.json()["error"]["code"] == code
        assert not engine.seen
        assert "x-rempart-residency" not in answer.headers


@pytest.mark.case("S2")
@pytest.mark.parametrize("host", OWN)
def test_the_gateways_own_names_are_routed_by_model(client: httpx.Client, host: str) -> None:
    answer = client.post(CHAT, json=CALL, headers={"host": host})
    assert answer.status_code == 200, answer.text
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.case("S2")
def test_the_list_of_models_is_not_given_in_anothers_name(client: httpx.Client) -> None:
    answer = client.get("/v1/models", headers={"host": f"nobody.{DOMAIN}"})
    assert answer.json()["error"]["code"] == "service_not_found"


@pytest.mark.case("S2")
@pytest.mark.parametrize(("host", "status"), [(LIVE, 200), (f"nobody.{DOMAIN}", 404), (DOMAIN, 200)])
def test_the_authority_of_http2_and_an_absolute_target_are_names_too(
    rig: Rig, tenant: Tenant, host: str, status: int
) -> None:
    body = json.dumps(CALL)
    asked = [
        "curl", "--silent", "--http2-prior-knowledge", "--output", "/dev/null", "--write-out", "%{http_code}",
        "--header", f"authorization: Bearer {tenant.key}", "--header", "content-type: application/json",
        "--header", f"host: {host}", "--data", body, f"{rig.url}{CHAT}",
    ]  # fmt: skip
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == str(status)
    head = (
        f"POST http://{host}{CHAT} HTTP/1.1\r\nhost: {DOMAIN}\r\nauthorization: Bearer {tenant.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as raw:
        raw.sendall((head + body).encode())
        assert raw.recv(64).startswith(f"HTTP/1.1 {status} ".encode())
