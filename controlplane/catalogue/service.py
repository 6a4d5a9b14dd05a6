"""Use cases of the catalogue: what is offered, and setting up what an installation starts with."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.audit import service as audit
from controlplane.catalogue import repository
from controlplane.catalogue.domain import InstanceType, Model
from controlplane.catalogue.events import CatalogueChanged
from controlplane.catalogue.seed_data import INSTANCE_TYPES, MODELS
from controlplane.kernel.errors import NotFound
from controlplane.plumbing.database import UnitOfWork

SEED_ACTOR = "seed"


def get_model(uow: UnitOfWork, name: str) -> Model:
    """Return a model by its name; NotFound when the catalogue has none of that name."""
    model = repository.find_model(uow, name)
    if model is None:
        raise NotFound(f"The catalogue has no model '{name}'.")
    return model


def get_instance_type(uow: UnitOfWork, name: str) -> InstanceType:
    """Return an instance type by its name; NotFound when the catalogue has none of that name."""
    kind = repository.find_instance_type(uow, name)
    if kind is None:
        raise NotFound(f"The catalogue has no instance type '{name}'.")
    return kind


def list_models(uow: UnitOfWork) -> Sequence[Model]:
    return repository.list_models(uow)


def list_instance_types(uow: UnitOfWork) -> Sequence[InstanceType]:
    return repository.list_instance_types(uow)


def seed(
    uow: UnitOfWork,
    models: Sequence[Model] = MODELS,
    instance_types: Sequence[InstanceType] = INSTANCE_TYPES,
) -> tuple[str, ...]:
    """Bring the catalogue to these entries and return the names that changed; none when run again.

    Entries of other names stay. Needs a platform transaction.
    """
    changed = [kind.name for kind in instance_types if repository.save_instance_type(uow, kind)]
    changed += [model.name for model in models if repository.save_model(uow, model)]
    for name in changed:
        audit.record(uow, tenant_id=None, actor=SEED_ACTOR, action="catalogue.changed", target=name)
    if changed:
        uow.emit(CatalogueChanged(tuple(changed)))
    return tuple(changed)
