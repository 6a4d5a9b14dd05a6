"""The providers as the engine calls them, on a real door: made once, adopted, and gone without complaint."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest, ResourceProvider

from controlplane.sdk import NotFound, Unauthenticated
from infra.provider import inference, service_provider
from infra.provider.providers import (
    STACK_ID,
    ApiKeyProvider,
    AppProvider,
    ProjectProvider,
    SecretProvider,
)
from infra.provider.service_provider import ServiceProvider
from infra.provider.session import KEY_VARIABLE, URL_VARIABLE, Refused
from tests.integration.deployments.fleet import MODEL
from tests.integration.provider.tenant import Tenant


@pytest.fixture(autouse=True)
def environment(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, tenant.key)
    monkeypatch.setenv(URL_VARIABLE, tenant.url)
    # A cell that is played here answers at once; when it does not, that should be told soon.
    monkeypatch.setattr(service_provider, "GONE_SECONDS_MAX", 30.0)


def configured(provider: ResourceProvider, stack_id: str | None = "5ta6c") -> Any:
    """A provider as the engine's process holds it."""
    config = {} if stack_id is None else {STACK_ID: stack_id}
    provider.configure(ConfigureRequest(Config(config, "tests")))
    return provider


def project(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "", "declared_as": f"project::{name}", **more}


def test_a_creation_that_was_cut_off_is_found_again_by_the_next_run(tenant: Tenant) -> None:
    provider = configured(ProjectProvider())
    first = provider.create(project("once"))
    assert provider.create(project("once")).id == first.id
    with pytest.raises(Refused, match=r"is taken.*adopt"):
        configured(ProjectProvider(), "another stack").create(project("once"))
    with pytest.raises(Refused, match="is taken"):
        configured(ProjectProvider(), None).create(project("once"))


def test_what_was_deleted_can_be_made_anew_within_the_same_day(tenant: Tenant) -> None:
    provider, made = configured(ProjectProvider()), set()
    for _ in range(3):
        result = provider.create(project("again"))
        made.add(result.id)
        provider.delete(result.id, result.outs)
    assert len(made) == 3


def test_a_key_whose_text_was_lost_is_revoked_and_another_made(tenant: Tenant) -> None:
    provider = configured(ApiKeyProvider())
    wish = {
        "name": "lost",
        "role": "viewer",
        "kind": "svc",
        "expires_in_days": 30.0,
        "declared_as": "key::lost",
    }
    lost, kept = provider.create(wish), provider.create(wish)
    assert lost.id != kept.id
    with tenant.client(lost.outs["secret"]) as client, pytest.raises(Unauthenticated):
        client.caller()
    with tenant.client(kept.outs["secret"]) as client:
        assert client.caller()["role"] == "viewer"


def test_deleting_what_is_gone_is_fine(tenant: Tenant) -> None:
    with tenant.with_cells():
        for provider, props in things(tenant):
            made = provider.create(props)
            assert provider.read(made.id, made.outs).id == made.id
            provider.delete(made.id, made.outs)
            assert provider.read(made.id, made.outs).id == "", type(provider).__name__
            provider.delete(made.id, made.outs)


def things(tenant: Tenant) -> list[tuple[Any, dict[str, Any]]]:
    """One of each kind, with its declaration."""
    del tenant
    definition = inference(MODEL)
    return [
        (configured(ProjectProvider()), project("gone")),
        (configured(AppProvider()), {"name": "gone", "declared_as": "a"}),
        (configured(SecretProvider()), {"name": "gone", "value": "v", "declared_as": "s"}),
        (configured(ApiKeyProvider()), {"name": "gone", "role": "viewer", "kind": "svc", "declared_as": "k"}),
        (configured(ServiceProvider()), {"name": "gone", "definition": definition, "declared_as": "v"}),
    ]


def test_a_services_own_app_goes_with_it_and_somebody_elses_stays(tenant: Tenant) -> None:
    provider, definition = configured(ServiceProvider()), inference(MODEL)
    own = provider.create({"name": "own", "definition": definition, "declared_as": "1"})
    with tenant.client() as client, tenant.with_cells():
        shared = client.apps.create({"name": "shared"})
        guest = provider.create(
            {"name": "guest", "definition": definition, "app_id": shared["id"], "declared_as": "2"}
        )
        provider.delete(own.id, own.outs)
        provider.delete(guest.id, guest.outs)
        assert client.apps.get(shared["id"])["name"] == "shared"
        with pytest.raises(NotFound):
            client.apps.get(own.outs["own_app_id"])


def test_what_exists_is_adopted_and_made_as_declared(tenant: Tenant) -> None:
    with tenant.client() as client:
        there = client.projects.create({"name": "there-before"})
        kept = client.secrets.create({"name": "kept", "value": "old"})
    provider = configured(ProjectProvider())
    adopted = provider.create(project("there-after", adopt=there["id"]))
    assert (adopted.id, adopted.outs["name"]) == (there["id"], "there-after")
    secret = configured(SecretProvider())
    taken = secret.create({"name": "kept", "value": "new", "adopt": kept["id"], "declared_as": "s"})
    assert (taken.id, taken.outs["version"]) == (kept["id"], 2)
    with pytest.raises(Refused, match="has another name"):
        secret.create({"name": "other", "value": "new", "adopt": kept["id"], "declared_as": "s"})
    with pytest.raises(Refused, match="to adopt"):
        provider.create(project("none", adopt="prj_" + "0" * 26))


def test_a_paused_or_scaled_service_is_drift_and_is_put_right(tenant: Tenant) -> None:
    provider = configured(ServiceProvider())
    wish = {"name": "drifting", "definition": inference(MODEL, replicas_max=2), "declared_as": "d"}
    made = provider.create(wish)
    assert provider.diff(made.id, made.outs, wish).changes is False
    with tenant.client() as client, tenant.with_cells():
        client.services.scale(made.id, 1, 1)
        client.services.pause(made.id)
        read = provider.read(made.id, made.outs)
        assert (read.outs["scale"], read.outs["is_paused"]) == ({"min": 1, "max": 1}, True)
        assert provider.diff(made.id, read.outs, wish).changes is True
        wait_until_paused(client, made.id)
        put_right = provider.update(made.id, read.outs, wish)
        assert provider.diff(made.id, put_right.outs, wish).changes is False
        assert client.services.get(made.id)["scale"] is None
        provider.delete(made.id, put_right.outs)


def wait_until_paused(client: Any, service_id: str) -> None:
    import time

    deadline = time.monotonic() + 30
    while client.services.get(service_id)["status"] != "PAUSED":
        assert time.monotonic() < deadline, "it was not paused in time"
        time.sleep(0.05)


def test_nothing_is_asked_without_a_key_and_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(Refused, match="REMPART_API_KEY must be set"):
        configured(ProjectProvider()).create(project("never"))


def test_a_key_that_sees_one_project_takes_nothing_for_gone(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = configured(ProjectProvider())
    made = provider.create(project("unseen"))
    with tenant.client() as client:
        other = client.projects.create({"name": "seen"})
        bound = client.api_keys.create({"name": "bound", "role": "developer", "project_id": other["id"]})
    monkeypatch.setenv(KEY_VARIABLE, bound["secret"])
    with pytest.raises(Refused, match="is bound to"):
        provider.read(made.id, made.outs)
