"""The catalogue on real PostgreSQL, and against the weights that are installed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy.exc
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.catalogue import service
from controlplane.catalogue.seed_data import INSTANCE_TYPES, MODELS
from controlplane.kernel.errors import NotFound
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import Database
from tests.fixtures.tenants import sign_up


class TestSeed:
    def test_seeding_again_changes_nothing(self, database: Database) -> None:
        with database.system() as uow:
            first = service.seed(uow)
        with database.system() as uow:
            second = service.seed(uow)
        assert sorted(first) == sorted([m.name for m in MODELS] + [t.name for t in INSTANCE_TYPES])
        assert second == ()
        with database.system(is_read_only=True) as uow:
            assert sorted(service.list_models(uow), key=lambda m: m.name) == sorted(
                MODELS, key=lambda m: m.name
            )
            assert {t.name: t for t in service.list_instance_types(uow)} == {
                t.name: t for t in INSTANCE_TYPES
            }

    def test_a_changed_entry_gets_a_new_version_and_is_told(self, database: Database) -> None:
        with database.system() as uow:
            service.seed(uow)
        dearer = replace(INSTANCE_TYPES[0], price_per_hour_micro=INSTANCE_TYPES[0].price_per_hour_micro + 1)
        with database.system() as uow:
            assert service.seed(uow, instance_types=[dearer]) == (dearer.name,)
        with database.system(is_read_only=True) as uow:
            assert service.get_instance_type(uow, dearer.name) == dearer
            version = uow.session.execute(
                text("SELECT version FROM catalogue_instance_type WHERE name = :n"), {"n": dearer.name}
            ).scalar_one()
            last = uow.session.execute(
                text(
                    "SELECT payload FROM outbox_event WHERE topic = 'catalogue.changed' ORDER BY position DESC LIMIT 1"
                )
            ).scalar_one()
        assert version == 2
        assert last == {"names": [dearer.name]}

    def test_tenants_cannot_write_the_catalogue(self, database: Database) -> None:
        with (
            pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
            database.tenant(TenantId.new()) as uow,
        ):
            uow.session.execute(text("UPDATE catalogue_model SET licence_colour = 'green'"))

    def test_an_unknown_name_is_not_found(self, database: Database) -> None:
        with database.system(is_read_only=True) as uow, pytest.raises(NotFound):
            service.get_model(uow, "no-such-model")


class TestSeedData:
    def test_digest_is_that_of_the_installed_weights(self) -> None:
        model = next(model for model in MODELS if model.name == "smollm2-135m-instruct")
        package, _, file_name = model.uri.partition(":")
        # The package's own code needs another runtime: its file is found without importing it.
        spec = find_spec(package.replace("-", "_"))
        assert spec is not None
        assert spec.origin is not None
        weights = Path(spec.origin).with_name(file_name).read_bytes()
        assert model.digest == "sha256:" + hashlib.sha256(weights).hexdigest()

    def test_every_model_fits_its_instance_type(self) -> None:
        kinds = {kind.name: kind for kind in INSTANCE_TYPES}
        assert all(kinds[model.instance_type].holds(model.sizing) for model in MODELS)

    def test_weights_without_a_digest_are_not_verifiable(self) -> None:
        unverifiable = [model for model in MODELS if model.digest is None]
        assert unverifiable
        assert all(
            not model.is_verifiable and model.manifest_digest.endswith("0" * 64) for model in unverifiable
        )


class TestApi:
    def test_a_tenant_reads_the_catalogue(self, api: TestClient, database: Database) -> None:
        with database.system() as uow:
            service.seed(uow)
        headers = sign_up(api).headers
        models = api.get("/v1/catalog/models", headers=headers).json()["models"]
        assert [model["name"] for model in models] == sorted(model.name for model in MODELS)
        one = api.get("/v1/catalog/models/smollm2-135m-instruct", headers=headers).json()["model"]
        assert (one["licence_colour"], one["is_verifiable"]) == ("green", True)
        instances = api.get("/v1/catalog/instances", headers=headers).json()["instances"]
        assert {i["name"]: i["gpus"] for i in instances}["b300-4x"] == 4

    def test_nobody_reads_it_without_a_key(self, api: TestClient) -> None:
        assert api.get("/v1/catalog/models").status_code == 401
        assert api.get("/v1/catalog/instances").status_code == 401

    def test_an_unknown_model_is_not_found(self, api: TestClient) -> None:
        headers = sign_up(api).headers
        assert api.get("/v1/catalog/models/no-such-model", headers=headers).status_code == 404
