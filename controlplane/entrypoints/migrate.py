"""Bring the schema to the newest version: `python -m controlplane.entrypoints.migrate`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from controlplane.entrypoints import tables  # noqa: F401 - every room's tables are known to the metadata
from controlplane.plumbing.settings import load_settings


def migrate(owner_url: str) -> None:
    """Upgrade the database at `owner_url`; safe to run again and beside another migrator."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).resolve().parents[2] / "migrations"))
    config.attributes["database_url"] = owner_url
    command.upgrade(config, "head")


if __name__ == "__main__":
    migrate(load_settings().owner_database_url.get_secret_value())
