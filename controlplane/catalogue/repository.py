"""All SQL of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from sqlalchemy import select

from controlplane.catalogue.domain import Engine, InstanceType, Model, Sizing
from controlplane.catalogue.models import InstanceTypeRow, ModelRow
from controlplane.plumbing.database import UnitOfWork
from controlplane.sovereignty.domain import LicenceColour

R = TypeVar("R", ModelRow, InstanceTypeRow)


def find_model(uow: UnitOfWork, name: str) -> Model | None:
    row = uow.session.get(ModelRow, name)
    return None if row is None else to_model(row)


def find_instance_type(uow: UnitOfWork, name: str) -> InstanceType | None:
    row = uow.session.get(InstanceTypeRow, name)
    return None if row is None else to_instance_type(row)


def list_models(uow: UnitOfWork) -> Sequence[Model]:
    return [to_model(row) for row in uow.session.scalars(select(ModelRow).order_by(ModelRow.name))]


def list_instance_types(uow: UnitOfWork) -> Sequence[InstanceType]:
    rows = uow.session.scalars(select(InstanceTypeRow).order_by(InstanceTypeRow.name))
    return [to_instance_type(row) for row in rows]


def save_model(uow: UnitOfWork, model: Model) -> bool:
    """Insert or change the row of a model; False when it already says exactly this."""
    values = {
        "title": model.title,
        "licence_colour": str(model.licence_colour),
        "licence_spdx": model.licence_spdx,
        "origin": model.origin,
        "origin_country": model.origin_country,
        "uri": model.uri,
        "digest": model.digest,
        "engine_name": model.engine.name,
        "engine_image": model.engine.image,
        "engine_args": list(model.engine.args),
        "parameters": model.parameters,
        "context_tokens": model.context_tokens,
        "cpu_milli": model.sizing.cpu_milli,
        "memory_mib": model.sizing.memory_mib,
        "gpus": model.sizing.gpus,
        "gpu_sku": model.sizing.gpu_sku,
        "instance_type": model.instance_type,
        "source": model.source,
        "as_of": model.as_of,
    }
    return _save(uow, ModelRow, model.name, values)


def save_instance_type(uow: UnitOfWork, kind: InstanceType) -> bool:
    """Insert or change the row of an instance type; False when it already says exactly this."""
    values = {
        "title": kind.title,
        "cpu_milli": kind.cpu_milli,
        "memory_mib": kind.memory_mib,
        "gpus": kind.gpus,
        "gpu_sku": kind.gpu_sku,
        "price_per_hour_micro": kind.price_per_hour_micro,
        "currency": kind.currency,
        "source": kind.source,
        "as_of": kind.as_of,
    }
    return _save(uow, InstanceTypeRow, kind.name, values)


def _save(uow: UnitOfWork, kind: type[R], name: str, values: Mapping[str, object]) -> bool:
    row = uow.session.get(kind, name, with_for_update=True, populate_existing=True)
    if row is None:
        uow.session.add(kind(name=name, version=1, changed_at=uow.now, **values))
    elif all(getattr(row, key) == value for key, value in values.items()):
        return False
    else:
        for key, value in values.items():
            setattr(row, key, value)
        row.version, row.changed_at = row.version + 1, uow.now
    uow.session.flush()
    return True


def to_model(row: ModelRow) -> Model:
    return Model(
        name=row.name,
        title=row.title,
        licence_colour=LicenceColour(row.licence_colour),
        licence_spdx=row.licence_spdx,
        origin=row.origin,
        origin_country=row.origin_country,
        uri=row.uri,
        digest=row.digest,
        engine=Engine(row.engine_name, row.engine_image, tuple(row.engine_args)),
        parameters=row.parameters,
        context_tokens=row.context_tokens,
        sizing=Sizing(row.cpu_milli, row.memory_mib, row.gpus, row.gpu_sku),
        instance_type=row.instance_type,
        source=row.source,
        as_of=row.as_of,
    )


def to_instance_type(row: InstanceTypeRow) -> InstanceType:
    return InstanceType(
        name=row.name,
        title=row.title,
        cpu_milli=row.cpu_milli,
        memory_mib=row.memory_mib,
        gpus=row.gpus,
        gpu_sku=row.gpu_sku,
        price_per_hour_micro=row.price_per_hour_micro,
        currency=row.currency,
        source=row.source,
        as_of=row.as_of,
    )
