"""API keys: the list, a new one (shown once), and its end."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from controlplane.portal.i18n import N_
from controlplane.portal.service_form_rules import FormErrors, place_errors
from controlplane.portal.web import SignedIn, TenantDep
from controlplane.sdk import ApiError, Forbidden, Unauthenticated

router = APIRouter()
DEFAULTS = {"name": "", "role": "developer", "kind": "svc", "project_id": "", "expires_in_days": "90"}
_PLACES = tuple((name, name) for name in DEFAULTS)


@router.get("/keys")
def list_keys(visit: TenantDep) -> Response:
    page = visit.listed(visit.api.api_keys)
    ends_at = visit.api.caller()["access_ends_at"]
    return visit.page(
        "keys.html",
        keys=page.items,
        next_cursor=page.next_cursor,
        access_ends_at=ends_at,
        **visit.project_choice(),
    )


@router.get("/keys/new")
def show_form(visit: TenantDep) -> Response:
    return _form_page(visit, DEFAULTS, FormErrors())


@router.post("/keys/new")
def create_key(visit: TenantDep) -> Response:
    values = {name: visit.field(name) for name in DEFAULTS}
    errors = FormErrors()
    if not values["name"]:
        errors.note("name", N_("Fill in this field."))
    days = values["expires_in_days"]
    if not (days.isascii() and days.isdigit() and len(days) < 6):
        errors.note("expires_in_days", N_("Write a whole number."))
    if errors:
        return _form_page(visit, values, errors, 422)
    body = {
        **values,
        "project_id": values["project_id"] or None,
        "expires_in_days": int(days),
    }
    once = visit.field("once")
    try:
        key = visit.api.api_keys.create(body, idempotency_key=f"portal-key-{once}"[:100] if once else None)
    except (Unauthenticated, Forbidden):
        raise
    except ApiError as refused:
        if refused.status >= 500:
            raise
        errors = place_errors(refused.fields, _PLACES)
        if not errors:
            errors.whole.append(refused.message)
        return _form_page(visit, values, errors, refused.status)
    return visit.page("key_created.html", key=key)


@router.get("/keys/{key_id}/revoke")
def ask_before_revoking(visit: TenantDep, key_id: str) -> Response:
    return visit.page("key_revoke.html", key=visit.api.api_keys.get(key_id))


@router.post("/keys/{key_id}/revoke")
def revoke(visit: TenantDep, key_id: str) -> Response:
    visit.api.api_keys.revoke(key_id)
    return visit.go("/keys", done="key_revoked")


def _form_page(visit: SignedIn, values: Mapping[str, str], errors: FormErrors, status: int = 200) -> Response:
    return visit.page("key_new.html", status=status, values=values, errors=errors, projects=visit.projects())
