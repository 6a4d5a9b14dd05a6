"""The installation's clock can be moved ahead where `environment` is `local`: a demo shows next month today."""

from __future__ import annotations

from sqlalchemy import Boolean, Integer, select, update
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.kernel.errors import Forbidden, InvalidInput
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.orm import Base
from controlplane.plumbing.settings import Settings

OFFSET_SECONDS_MAX = 10 * 366 * 24 * 3600


class SimulatedClockRow(Base):
    """One row: how far ahead of the real time this local installation believes to be."""

    __tablename__ = "simulated_clock"

    is_only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, default=True)
    offset_seconds: Mapped[int] = mapped_column(Integer, default=0)


def move_clock(uow: UnitOfWork, settings: Settings, offset_seconds: int) -> None:
    """Set how far ahead the clock runs; Forbidden in production, InvalidInput for the past or beyond ten years."""
    if settings.environment != "local":
        raise Forbidden("The clock can be moved only in a local installation (REMPART_ENVIRONMENT=local).")
    if not 0 <= offset_seconds <= OFFSET_SECONDS_MAX:
        raise InvalidInput("The clock can be moved between 0 seconds and ten years ahead.")
    uow.session.execute(update(SimulatedClockRow).values(offset_seconds=offset_seconds))


def find_offset(uow: UnitOfWork) -> int:
    """How far ahead the clock is set, in seconds."""
    return uow.session.scalar(select(SimulatedClockRow.offset_seconds)) or 0
