"""Import every module that declares tables, so that the metadata is whole (migrations, schema checks)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

FLEET = ("sovereignty", "capacity", "catalogue", "deployments")
MONEY = ("metering", "rating", "ledger", "invoicing", "payments", "einvoicing")
ROOMS = ("audit", "tenancy", "identity", *FLEET, *MONEY)

for _room in ROOMS:
    if find_spec(f"controlplane.{_room}") and find_spec(f"controlplane.{_room}.models"):
        import_module(f"controlplane.{_room}.models")
for _module in ("outbox", "idempotency", "simulated_clock"):
    import_module(f"controlplane.plumbing.{_module}")
