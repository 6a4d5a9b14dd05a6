"""The declarative base with its naming convention, and the column type of typed ids."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from controlplane.kernel.ids import Id

I = TypeVar("I", bound=Id)  # noqa: E741 - the type variable of an Id

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class IdType(TypeDecorator[I], Generic[I]):
    """Stores a typed id as a UUID column and gives the typed id back."""

    impl = PG_UUID(as_uuid=True)
    cache_ok = True

    def __init__(self, kind: type[I]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: I | None, dialect: Any) -> UUID | None:  # noqa: ARG002
        if value is None:
            return None
        if type(value) is not self.kind:
            raise TypeError(f"expected {self.kind.__name__}, got {type(value).__name__}")
        return value.value

    def process_result_value(self, value: UUID | None, dialect: Any) -> I | None:  # noqa: ARG002
        return None if value is None else self.kind(value)

    def copy(self, **_: Any) -> IdType[I]:
        return IdType(self.kind)
