"""Every form works by plain HTTP, and says what is wrong where it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from tests.fixtures.portal import World, spare_key
from tests.fixtures.tenants import signup_body

NEW: dict[str, Any] = {
    "app_id": "new", "app_name": "forms", "name": "by-form", "model": "smollm2-135m-instruct", "instance_type": "",
    "min": "0", "max": "1", "idle_seconds": "300", "countries": ["FR"], "is_non_eu_control_denied": "yes",
    "pue_below": "",
}  # fmt: skip


def app_names(world: World) -> list[str]:
    return [app["name"] for app in world.fleet.get("/v1/apps", limit=100)["apps"]]


def test_a_service_is_deployed_by_the_form_paused_scaled_and_deleted(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        answer = visitor.send("/services/new", "/services/new", **NEW)
        assert answer.status_code == 303, answer.text
        path = answer.headers["location"].partition("?")[0]
        page = visitor.get(answer.headers["location"])
        assert "by-form" in page
        assert "The service was created" in page
        for action, fields, said in (
            ("scale", {"min": "0", "max": "3"}, "The scaling limits were changed"),
            ("redeploy", {}, "A new deployment was asked for"),
            ("pause", {}, "The service was paused"),
        ):
            done = visitor.send(path, f"{path}/{action}", **fields)
            assert done.status_code == 303, done.text
            assert said in visitor.get(done.headers["location"])
        gone = visitor.send(f"{path}/delete", f"{path}/delete")
        assert "The service was deleted" in visitor.get(gone.headers["location"])


def test_one_form_makes_one_service_however_often_it_is_sent(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        page = visitor.get("/services/new")
        hidden = {
            name: page.partition(f'name="{name}" value="')[2].partition('"')[0]
            for name in ("form_token", "once")
        }
        body = {**NEW, **hidden, "app_name": "twice", "name": "twice"}
        places = {visitor.http.post("/services/new", data=body).headers["location"] for _ in range(2)}
        assert len(places) == 1
        assert app_names(world).count("twice") == 1


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"name": "Not A Name"}, "name", "form that is not accepted"),
        ({"name": ""}, "name", "Fill in this field"),
        ({"model": "no-such-model"}, None, "no-such-model"),
        ({"min": "5", "max": "1"}, "max", "min cannot be above max"),
        ({"max": "many"}, "max", "Write a whole number"),
        ({"max": "9999"}, "max", "too large"),
        ({"app_id": "new", "app_name": "Bad Name"}, "app_name", "form that is not accepted"),
        ({"app_id": "new", "app_name": ""}, "app_name", "not accepted"),
        ({"pue_below": "0.5"}, "pue_below", "too small"),
        ({"name": "<script>alert(1)</script>"}, "name", "form that is not accepted"),
    ],
)
def test_a_refused_form_is_shown_again_with_what_is_wrong(
    world: World, changes: dict[str, str], field: str | None, said: str
) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        before = app_names(world)
        answer = visitor.send("/services/new", "/services/new", **{**NEW, "app_name": "refused", **changes})
        assert 400 <= answer.status_code < 500, answer.headers
        assert 'role="alert"' in answer.text
        assert said in answer.text
        assert "<script>alert" not in answer.text
        if field is not None:
            assert f'id="{field}-wrong"' in answer.text
            assert f'href="#{field}"' in answer.text
        assert 'value="FR" checked' in answer.text, "what was filled in is kept"
        assert app_names(world) == before, "a refused form leaves nothing behind"


def test_a_key_is_shown_once_and_revoked(world: World) -> None:
    with world.signed_in(world.tenant.secret, "fr") as visitor:
        page = visitor.get("/keys/new")
        hidden = {
            name: page.partition(f'name="{name}" value="')[2].partition('"')[0]
            for name in ("form_token", "once")
        }
        body = {
            **hidden,
            "name": "clé é",
            "role": "viewer",
            "kind": "svc",
            "project_id": "",
            "expires_in_days": "7",
        }
        made = visitor.http.post("/keys/new", data=body)
        secret = made.text.partition('id="secret" type="text" value="')[2].partition('"')[0]
        assert secret.startswith("rmp_svc_")
        assert made.headers["cache-control"] == "no-store"
        again = visitor.http.post("/keys/new", data=body)
        assert secret not in again.text
        assert "déjà été envoyé" in again.text
        assert secret not in visitor.get("/keys")
        with world.signed_in(secret) as other:
            key_id = next(
                k["id"] for k in world.fleet.get("/v1/api_keys")["api_keys"] if k["name"] == "clé é"
            )
            done = visitor.send(f"/keys/{key_id}/revoke", f"/keys/{key_id}/revoke")
            assert "La clé a été révoquée" in visitor.get(done.headers["location"])
            assert other.http.get("/services").status_code == 303


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"name": ""}, "name"), ({"expires_in_days": "soon"}, "expires_in_days"),
     ({"expires_in_days": "99999"}, "expires_in_days"), ({"role": "emperor"}, "role"),
     ({"project_id": "prj_" + "0" * 26}, None)],
)  # fmt: skip
def test_a_refused_key_says_what_is_wrong(world: World, changes: dict[str, str], field: str | None) -> None:
    body = {"name": "n", "role": "viewer", "kind": "svc", "project_id": "", "expires_in_days": "7", **changes}
    with world.signed_in(world.tenant.secret) as visitor:
        answer = visitor.send("/keys/new", "/keys/new", **body)
        assert 400 <= answer.status_code < 500
        if field is not None:
            assert f'id="{field}-wrong"' in answer.text


def test_a_budget_is_set_and_a_bad_amount_is_refused(world: World) -> None:
    with world.signed_in(world.tenant.secret, "fr") as visitor:
        bad = visitor.send("/usage", "/usage/budget", amount="beaucoup", is_hard="yes")
        assert bad.status_code == 422
        assert 'id="amount-wrong"' in bad.text
        done = visitor.send("/usage", "/usage/budget", amount="1 234,50 €", is_hard="yes", project_id="")
        assert done.status_code == 303, done.text
        page = visitor.get(done.headers["location"])
        assert "1\u202f234,50\xa0€" in page
        assert world.fleet.get("/v1/budgets")["budgets"][0]["amount"] == "1234.50"


def test_an_invoice_is_shown_with_its_calculation_and_its_files(world: World) -> None:
    path = f"/invoices/{world.invoice['id']}"
    with world.signed_in(world.tenant.secret, "fr") as visitor:
        page = visitor.get(path)
        assert world.invoice["number"] in page
        for line in world.invoice["lines"]:
            for step in line["calculation"]:
                # In words: no formula with the names of a program's values.
                assert step.partition("(")[0] not in page
            assert page.count("→") >= len(line["calculation"])
        pdf, xml = visitor.http.get(f"{path}/pdf"), visitor.http.get(f"{path}/xml")
        assert pdf.content.startswith(b"%PDF")
        assert b"CrossIndustryInvoice" in xml.content
        assert world.invoice["number"] in pdf.headers["content-disposition"]
        assert pdf.headers["content-disposition"].startswith("attachment")
        visitor.get(f"{path}/exe", 404)


def test_lists_are_turned_page_by_page(world: World) -> None:
    for _ in range(25):
        spare_key(world)
    with world.signed_in(world.tenant.secret) as visitor:
        page = visitor.get("/keys")
        following = page.partition("/keys?cursor=")[2].partition('"')[0]
        assert following
        second = visitor.get(f"/keys?cursor={following}")
        assert page.count("<tr>") == 21
        assert 'href="/keys"' in second
        visitor.get("/keys?cursor=garbage", 422)


def test_a_roles_limits_are_told(world: World) -> None:
    viewer = spare_key(world, role="viewer")
    with world.signed_in(viewer["secret"], "fr") as visitor:
        assert "Le rôle de votre clé ne le permet pas" in visitor.get("/keys", 403)
        page = visitor.get("/")
        assert "assistant" in page
        assert "Dernières factures" not in page
        path = f"/services/{world.service['id']}"
        assert visitor.send(path, f"{path}/pause").status_code == 403
        assert visitor.send("/usage", "/usage/budget", amount="5").status_code == 403


def test_another_tenants_things_do_not_exist(world: World) -> None:
    with world.signed_in(world.newcomer.secret) as visitor:
        for path in (
            f"/services/{world.service['id']}", f"/invoices/{world.invoice['id']}",
            f"/invoices/{world.invoice['id']}/pdf", f"/services/{world.service['id']}/playground",
            "/operator/datacenters", "/operator/tenants", "/nothing", "/services/svc_%3Cb%3E",
        ):  # fmt: skip
            answer = visitor.http.get(path)
            assert answer.status_code in {404, 422}, path
            assert "<b>" not in answer.text
    with world.signed_in(world.operator_key) as operator:
        for path in ("/services", "/keys", "/usage"):
            operator.get(path, 404)


def test_the_operator_suspends_and_resumes_a_tenant_and_scales_a_pool(world: World) -> None:
    tenant = f"/operator/tenants/{world.newcomer.organization_id}"
    with world.signed_in(world.operator_key) as visitor:
        empty = visitor.send(tenant, f"{tenant}/suspend", reason="")
        assert empty.status_code == 422
        visitor.send(tenant, f"{tenant}/suspend", reason="Unpaid.")
        assert "Unpaid." in visitor.get(tenant)
        visitor.send(tenant, f"{tenant}/resume")
        assert "Unpaid." not in visitor.get(tenant)
        pools = "/operator/pools"
        assert visitor.send(pools, f"{pools}/essonne-1-cpu/scale", replicas="x").status_code == 422
        assert visitor.send(pools, f"{pools}/essonne-1-cpu/scale", replicas="99999").status_code == 422
        done = visitor.send(pools, f"{pools}/essonne-1-cpu/scale", replicas="1")
        assert done.status_code == 303, done.text


@pytest.mark.case("W7")
@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_the_operator_sees_who_is_alike_and_decides(world: World, decision: str) -> None:
    app = world.fleet.api.app
    assert isinstance(app, FastAPI)
    before = app.state.settings
    app.state.settings = before.model_copy(update={"is_approval_needed": True})
    made = world.fleet.api.post("/v1/signup", json=signup_body(f"claims-{decision}")).json()
    app.state.settings = before
    tenant = f"/operator/tenants/{made['organization']['id']}"
    with world.signed_in(world.operator_key) as visitor:
        page = visitor.get(tenant)
        assert "These may be the same company" in page
        assert f"/operator/tenants/{world.newcomer.organization_id}" in page
        assert f"{tenant}/suspend" not in page
        assert visitor.send(tenant, f"{tenant}/refuse", reason="").status_code == 422
        assert visitor.send(tenant, f"{tenant}/approve", version="x").status_code == 422
        assert visitor.send(tenant, f"{tenant}/approve", version="7").status_code == 409
        done = visitor.send(tenant, f"{tenant}/{decision}", version="1", reason="Is another's company.")
        assert done.status_code == 303, done.text
        page = visitor.get(done.headers["location"])
        said = {"approve": "The organization was approved", "refuse": "another&#39;s company."}[decision]
        assert said in page


def test_the_why_path_of_an_excluded_datacenter_is_shown(world: World) -> None:
    path = f"/services/{world.service['id']}"
    with (
        world.signed_in(world.tenant.secret, "fr") as french,
        world.signed_in(world.tenant.secret) as english,
    ):
        page = french.get(path)
        assert "dublin-1" in page
        assert "Meridian Cloud Inc." in page
        assert "est contrôlé hors de l" in page
        assert "Excluded by your requirement" in english.get(path)


def test_an_unchanged_service_is_not_sent_again(world: World) -> None:
    path = f"/services/{world.pending['id']}"
    with world.signed_in(world.tenant.secret) as visitor:
        live = visitor.get(path).partition(f'hx-get="{path}/live?seen=')[2].partition('"')[0]
        assert live
        assert visitor.http.get(f"{path}/live?seen={live}").status_code == 204
        assert visitor.http.get(f"{path}/live?seen=other").status_code == 200


def test_a_form_that_is_too_large_is_refused(world: World) -> None:
    with world.visitor() as visitor:
        answer = visitor.http.post("/sign-in", content=b"api_key=" + b"x" * (300 << 10))
        assert answer.status_code == 413
        assert "too large" in answer.text
        assert visitor.http.post("/sign-in", content=b"api_key=%FF").status_code == 413


def test_a_silent_gateway_is_told_in_the_playground(world: World) -> None:
    path = f"/services/{world.service['id']}/playground"
    with world.signed_in(world.tenant.secret) as visitor:
        answer = visitor.send(path, path, prompt="hello", max_tokens="8")
        assert answer.status_code == 502
        assert "The gateway does not answer" in answer.text
        assert visitor.send(path, path, prompt="", max_tokens="0").status_code == 422
        streamed = visitor.send(path, f"{path}/stream", prompt="hello", max_tokens="8")
        assert "The gateway does not answer" in streamed.text


def test_every_answer_carries_the_security_headers(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        answers = [
            visitor.http.get(path) for path in ("/", "/nothing", "/sign-in", "/healthz", "/robots.txt")
        ]
        answers.append(visitor.http.post("/sign-out"))
        for answer in answers:
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"


def test_pages_load_nothing_but_this_sites_files(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        for path in world.tenant_pages():
            page = visitor.get(path)
            assert "<script>" not in page
            assert "style=" not in page
            assert " onclick" not in page
            for attribute in ("src", "href"):
                for value in page.split(f'{attribute}="')[1:]:
                    assert value.startswith(("/", "#")), value[:80]
        page = visitor.get("/")
        for file in ("portal.css", "portal.js", "htmx.js", "rempart.svg"):
            address = f"/static/{file}" + page.partition(f"/static/{file}")[2].partition('"')[0]
            answer = visitor.http.get(address)
            assert answer.status_code == 200, address
            assert "immutable" in answer.headers["cache-control"]
        assert visitor.http.get("/static/..%2fapp.py").status_code == 404
