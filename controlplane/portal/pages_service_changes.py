"""Making and changing services. Every change is a form's POST that ends in a redirect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.labels import PROBLEMS
from controlplane.portal.service_form_rules import (
    DEFAULTS,
    FormErrors,
    ServiceForm,
    place_errors,
    read_service_form,
)
from controlplane.portal.web import SignedIn, TenantDep
from controlplane.sdk import ApiError, Forbidden, InvalidRequest, Unauthenticated

router = APIRouter()
APPS_SHOWN = 200
_APP_PLACES = (("name", "app_name"), ("project_id", "project_id"))


# `new` is no service's id: ids begin with `svc_`, and this router stands before the one that shows them.
@router.get("/services/new")
def show_form(visit: TenantDep) -> Response:
    chosen = visit.chosen_project()
    values = {**DEFAULTS, "project_id": (chosen,)} if chosen else DEFAULTS
    return _form_page(visit, values, FormErrors())


@router.post("/services/new")
def create_service(visit: TenantDep) -> Response:
    wanted = read_service_form(visit.form)
    if wanted.makes_app and not visit.field("app_name"):
        wanted.errors.note("app_name", PROBLEMS["invalid_input"])
    if wanted.errors:
        return _form_page(visit, wanted.values, wanted.errors, 422)
    made_app = ""
    try:
        app_id = visit.field("app_id")
        if wanted.makes_app:
            app_id = made_app = _create_app(visit)
        service = visit.api.services.create(
            {"app_id": app_id, "definition": wanted.definition}, idempotency_key=_once(visit, "service")
        )
    except _FormRefused as refused:
        return _form_page(visit, wanted.values, refused.errors, refused.status)
    except (Unauthenticated, Forbidden):
        raise
    except ApiError as refused:
        if refused.status >= 500:
            raise
        if made_app:
            # What the form did not get, it leaves nothing of.
            visit.api.apps.delete(made_app)
        return _refused_page(visit, wanted, refused)
    return visit.go(f"/services/{service['id']}", done="service_created")


class _FormRefused(Exception):
    """The app of the form is not accepted."""

    def __init__(self, status: int, errors: FormErrors) -> None:
        super().__init__(status)
        self.status = status
        self.errors = errors


def _create_app(visit: SignedIn) -> str:
    body: dict[str, Any] = {"name": visit.field("app_name")}
    if visit.field("project_id"):
        body["project_id"] = visit.field("project_id")
    try:
        return str(visit.api.apps.create(body, idempotency_key=_once(visit, "app"))["id"])
    except (Unauthenticated, Forbidden):
        raise
    except InvalidRequest as refused:
        raise _FormRefused(422, place_errors(refused.fields, _APP_PLACES)) from refused
    except ApiError as refused:
        if refused.status >= 500:
            raise
        raise _FormRefused(refused.status, FormErrors({"app_name": refused.message})) from refused


def _refused_page(visit: SignedIn, wanted: ServiceForm, refused: ApiError) -> Response:
    errors = place_errors(refused.fields)
    if not errors:
        errors.whole.append(refused.message)
    return _form_page(visit, wanted.values, errors, refused.status)


def _form_page(
    visit: SignedIn, values: Mapping[str, tuple[str, ...]], errors: FormErrors, status: int = 200
) -> Response:
    catalog = visit.api.catalog
    datacenters = catalog.datacenters()
    return visit.page(
        "service_new.html",
        status=status,
        values=values,
        errors=errors,
        apps=visit.api.apps.page(limit=APPS_SHOWN).items,
        models=catalog.models(),
        instance_types=catalog.instance_types(),
        datacenters=datacenters,
        countries=sorted({each["country"] for each in datacenters}),
        **visit.project_choice(),
    )


def _once(visit: SignedIn, what: str) -> str | None:
    """One filled-in form makes one thing, however often it is sent."""
    once = visit.field("once")
    return f"portal-{what}-{once}"[:100] if once else None


@router.post("/services/{service_id}/pause")
def pause(visit: TenantDep, service_id: str) -> Response:
    return _change(visit, service_id, "service_paused", lambda: visit.api.services.pause(service_id))


@router.post("/services/{service_id}/resume")
def resume(visit: TenantDep, service_id: str) -> Response:
    return _change(visit, service_id, "service_resumed", lambda: visit.api.services.resume(service_id))


@router.post("/services/{service_id}/redeploy")
def redeploy(visit: TenantDep, service_id: str) -> Response:
    return _change(visit, service_id, "service_redeployed", lambda: visit.api.services.redeploy(service_id))


@router.post("/services/{service_id}/scale")
def scale(visit: TenantDep, service_id: str) -> Response:
    bounds = [visit.field(name) for name in ("min", "max")]
    wanted = [int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1 for text in bounds]
    return _change(visit, service_id, "service_scaled", lambda: visit.api.services.scale(service_id, *wanted))


@router.get("/services/{service_id}/delete")
def ask_before_deleting(visit: TenantDep, service_id: str) -> Response:
    return visit.page("service_delete.html", service=visit.api.services.get(service_id))


@router.post("/services/{service_id}/delete")
def delete(visit: TenantDep, service_id: str) -> Response:
    visit.api.services.delete(service_id)
    return visit.go("/services", done="service_deleted")


def _change(visit: SignedIn, service_id: str, done: str, change: Callable[[], object]) -> Response:
    change()
    return visit.go(f"/services/{service_id}", done=done)
