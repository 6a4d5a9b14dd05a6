"""Which routers the REST door has; a room's router is listed once its room stands."""

from __future__ import annotations

from fastapi import APIRouter

# Reachable without a key: signing up, and nothing else.
PUBLIC_ROUTERS: tuple[APIRouter, ...] = ()
ROUTERS: tuple[APIRouter, ...] = ()
