"""REST of the deployments room, under Koyeb's paths."""

from __future__ import annotations

from fastapi import APIRouter

from controlplane.deployments import api_apps, api_deployments, api_services

router = APIRouter()
for _part in (api_apps.router, api_services.router, api_deployments.router):
    router.include_router(_part)
