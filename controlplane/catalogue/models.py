"""Rows of the catalogue; it belongs to the platform and every tenant reads it."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, DateTime, ForeignKey, Integer, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.plumbing.orm import Base


class ModelRow(Base):
    __tablename__ = "catalogue_model"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    licence_colour: Mapped[str] = mapped_column(String(10))
    licence_spdx: Mapped[str] = mapped_column(String(64))
    origin: Mapped[str] = mapped_column(String(200))
    origin_country: Mapped[str | None] = mapped_column(String(2))
    uri: Mapped[str] = mapped_column(String(1024))
    digest: Mapped[str | None] = mapped_column(String(71))
    engine_name: Mapped[str] = mapped_column(String(64))
    engine_image: Mapped[str] = mapped_column(String(256))
    engine_args: Mapped[list[str]] = mapped_column(JSONB)
    parameters: Mapped[int] = mapped_column(BigInteger)
    context_tokens: Mapped[int] = mapped_column(Integer)
    cpu_milli: Mapped[int] = mapped_column(Integer)
    memory_mib: Mapped[int] = mapped_column(Integer)
    gpus: Mapped[int] = mapped_column(Integer)
    gpu_sku: Mapped[str | None] = mapped_column(String(63))
    instance_type: Mapped[str] = mapped_column(String(63), ForeignKey("catalogue_instance_type.name"))
    source: Mapped[str] = mapped_column(Text)
    as_of: Mapped[date] = mapped_column(Date)
    version: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class InstanceTypeRow(Base):
    __tablename__ = "catalogue_instance_type"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    cpu_milli: Mapped[int] = mapped_column(Integer)
    memory_mib: Mapped[int] = mapped_column(Integer)
    gpus: Mapped[int] = mapped_column(Integer)
    gpu_sku: Mapped[str | None] = mapped_column(String(63))
    price_per_hour_micro: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    source: Mapped[str] = mapped_column(Text)
    as_of: Mapped[date] = mapped_column(Date)
    version: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
