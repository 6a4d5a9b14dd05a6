"""Secrets: sealed at rest, pinned by deployments, told to nobody but a cell."""

from __future__ import annotations

import base64
import logging

import psycopg
import pytest
import sqlalchemy.exc
from sqlalchemy import text

from controlplane.deployments.service_apply import CannotBuild, read_wish
from controlplane.kernel.ids import TenantId
from tests.fixtures.tenants import sign_up
from tests.integration.deployments.fleet import Fleet, add_site

VALUE = "s3cr3t-Zebra-4711"
NEW_VALUE = "n3w-Okapi-1234"


def values_for_cell(fleet: Fleet, part: dict[str, object]) -> dict[str, str]:
    held = fleet.part(part)
    with fleet.database.system(held.tenant_id, is_read_only=True) as uow:
        wish = read_wish(uow, fleet.context.settings.sealing_ring, held.id)
    assert wish is not None
    assert VALUE not in repr(wish)
    [secret] = [manifest for manifest in wish.manifests if manifest["kind"] == "Secret"]
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def deploy_with_secret(fleet: Fleet) -> tuple[dict[str, object], dict[str, object]]:
    add_site(fleet, "essonne-1", "FR", cpu_milli=4000)
    secret = fleet.post("/v1/secrets", {"name": "hub-token", "value": VALUE})["secret"]
    service = fleet.create_service(
        env=[{"key": "APP_HUB_TOKEN", "secret": "hub-token"}, {"key": "LOG_LEVEL", "value": "info"}]
    )
    fleet.run()
    return secret, service


class TestSecrets:
    def test_secret_value_is_in_no_answer_row_audit_or_log(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        secret, service = deploy_with_secret(fleet)
        answers = [
            fleet.api.get(path, headers=fleet.caller.headers).text
            for path in (
                "/v1/secrets",
                f"/v1/secrets/{secret['id']}",
                f"/v1/services/{service['id']}",
                "/v1/deployments",
            )
        ]
        assert not any(VALUE in answer for answer in answers)
        with fleet.database.system() as uow:
            tables = uow.session.scalars(
                text(
                    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
                )
            ).all()
            assert "secret_version" in tables
            for table in tables:
                query = text(f"SELECT count(*) FROM {table} t WHERE position(:s in to_jsonb(t)::text) > 0")  # noqa: S608
                assert uow.session.scalar(query, {"s": VALUE}) == 0, table
                assert uow.session.scalar(query, {"s": VALUE.encode().hex()}) == 0, table
        assert VALUE not in caplog.text

    def test_cell_gets_the_version_that_the_deployment_was_made_with(self, fleet: Fleet) -> None:
        secret, service = deploy_with_secret(fleet)
        headers = {**fleet.caller.headers, "If-Match": '"1"'}
        changed = fleet.api.patch(f"/v1/secrets/{secret['id']}", json={"value": NEW_VALUE}, headers=headers)
        assert changed.json()["secret"]["version"] == 2
        assert values_for_cell(fleet, fleet.parts(service)[0]) == {
            "APP_HUB_TOKEN": VALUE,
            "LOG_LEVEL": "info",
        }
        made = fleet.post(f"/v1/services/{service['id']}/redeploy")["deployment"]
        assert made["secret_versions"] == {"hub-token": 2}
        fleet.run()
        [part] = [part for part in fleet.parts(service) if part["deployment_id"] == made["id"]]
        assert values_for_cell(fleet, part) == {"APP_HUB_TOKEN": NEW_VALUE, "LOG_LEVEL": "info"}

    def test_sealed_value_that_was_moved_does_not_open(self, fleet: Fleet) -> None:
        secret, service = deploy_with_secret(fleet)
        fleet.post("/v1/secrets", {"name": "other", "value": NEW_VALUE})
        with psycopg.connect(fleet.context.settings.owner_database_url.get_secret_value()) as owner:
            owner.execute("SET row_security = off")
            owner.execute("ALTER TABLE secret_version NO FORCE ROW LEVEL SECURITY")
            owner.execute(
                "UPDATE secret_version SET nonce = o.nonce, ciphertext = o.ciphertext FROM secret_version o, secret s "
                "WHERE s.id = o.secret_id AND s.name = 'other' AND secret_version.secret_id <> o.secret_id"
            )
        assert secret["name"] == "hub-token"
        with pytest.raises(CannotBuild, match="does not open"):
            values_for_cell(fleet, fleet.parts(service)[0])

    def test_secret_in_use_cannot_be_deleted(self, fleet: Fleet) -> None:
        secret, _ = deploy_with_secret(fleet)
        headers = {**fleet.caller.headers, "If-Match": '"1"'}
        refused = fleet.api.delete(f"/v1/secrets/{secret['id']}", headers=headers)
        assert refused.status_code == 409
        assert "'assistant'" in refused.json()["detail"]
        spare = fleet.post("/v1/secrets", {"name": "spare", "value": "x"})["secret"]
        assert fleet.api.delete(f"/v1/secrets/{spare['id']}", headers=headers).status_code == 204

    def test_unknown_secret_is_refused_by_its_field(self, fleet: Fleet) -> None:
        app = fleet.create_app()
        body = {
            "app_id": app,
            "definition": {
                "name": "a",
                "inference": {"model": "smollm2-135m-instruct"},
                "env": [{"key": "APP_T", "secret": "nowhere"}],
            },
        }
        refused = fleet.api.post("/v1/services", json=body, headers=fleet.caller.headers)
        assert refused.status_code == 422
        assert refused.json()["errors"] == [
            {"field": "definition.env", "message": "there is no secret 'nowhere'", "code": "unknown"}
        ]

    def test_secrets_of_another_tenant_are_not_found(self, fleet: Fleet) -> None:
        secret = fleet.post("/v1/secrets", {"name": "hub-token", "value": VALUE})["secret"]
        other = sign_up(fleet.api).headers
        assert fleet.api.get(f"/v1/secrets/{secret['id']}", headers=other).status_code == 404
        assert fleet.api.get("/v1/secrets", headers=other).json()["secrets"] == []

    def test_tenants_own_transaction_cannot_read_a_sealed_value(self, fleet: Fleet) -> None:
        fleet.post("/v1/secrets", {"name": "hub-token", "value": VALUE})
        tenant = TenantId.parse(fleet.caller.organization_id)
        with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):  # noqa: SIM117
            with fleet.database.tenant(tenant) as uow:
                uow.session.execute(text("SELECT ciphertext FROM secret_version"))
