"""Signing in and out, and what ends a session, over a real API door and a real Redis."""

from __future__ import annotations

import logging
from datetime import timedelta
from urllib.parse import quote

import pytest
import redis

from controlplane.portal.sessions import ABSOLUTE, IDLE, REDIS_PREFIX
from controlplane.portal.web import SESSION_COOKIE
from tests.fixtures.database import free_port
from tests.fixtures.portal import HOME, Visitor, World, spare_key


def session_cookie(visitor: Visitor) -> str:
    value = visitor.http.cookies.get(SESSION_COOKIE)
    assert value
    return value


def stored(world: World) -> dict[bytes, bytes]:
    with redis.Redis.from_url(world.settings.redis_url) as client:
        return {name: client.get(name) for name in client.scan_iter(REDIS_PREFIX + "*")}  # type: ignore[misc]


def is_sent_to_sign_in(visitor: Visitor, path: str = "/services") -> str:
    answer = visitor.http.get(path)
    assert answer.status_code == 303, answer.text[:300]
    target = str(answer.headers["location"])
    assert target.startswith("/sign-in")
    return target


def test_the_session_cookie_is_bound_to_this_host_and_closed_to_scripts(world: World) -> None:
    with world.visitor() as visitor:
        answer = visitor.send("/sign-in", "/sign-in", api_key=world.tenant.secret, next="/services")
        cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(SESSION_COOKIE))
        assert answer.headers["location"] == "/services"
        assert SESSION_COOKIE.startswith("__Host-")
        for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
            assert part in cookie
        assert "Domain" not in cookie
        assert "Max-Age" not in cookie


def test_redis_holds_no_key_and_no_session_id_in_the_clear(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        kept = stored(world)
        assert kept
        everything = b"".join(name + value for name, value in kept.items())
        for secret in (world.tenant.secret, session_cookie(visitor), world.tenant.key_id):
            assert secret.encode() not in everything


def test_a_sealed_session_does_not_open_elsewhere(world: World) -> None:
    """What is copied under another session's name signs nobody in."""
    with world.signed_in(world.tenant.secret) as one, world.signed_in(world.operator_key) as other:
        sessions = one.http.app.state.portal.sessions  # type: ignore[attr-defined]
        names = [sessions._keys[0].name(session_cookie(each)) for each in (one, other)]
        with redis.Redis.from_url(world.settings.redis_url) as client:
            client.copy(names[1], names[0], replace=True)
        assert "reason=ended" in is_sent_to_sign_in(one)


def test_a_session_ends_when_it_is_left_alone(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        sessions = visitor.http.app.state.portal.sessions  # type: ignore[attr-defined]
        name = sessions._keys[0].name(session_cookie(visitor))
        with redis.Redis.from_url(world.settings.redis_url) as client:
            assert client.ttl(name) <= IDLE.total_seconds()
            client.expire(name, 60)
            visitor.get("/services")
            assert client.ttl(name) > 60, "a visit lets the idle time begin anew"
            client.pexpire(name, 1)
            deadline = 200
            while client.exists(name) and deadline:
                deadline -= 1
        assert "reason=ended" in is_sent_to_sign_in(visitor)


def test_a_session_ends_after_twelve_hours_however_busy(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        began = world.clock.now()
        try:
            world.clock.advance(ABSOLUTE - timedelta(seconds=1))
            visitor.get("/services")
            world.clock.advance(timedelta(seconds=1))
            assert "reason=ended" in is_sent_to_sign_in(visitor)
        finally:
            world.clock.at = began


def test_a_lost_redis_costs_a_new_sign_in_and_nothing_else(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        with redis.Redis.from_url(world.settings.redis_url) as client:
            client.flushall()
        is_sent_to_sign_in(visitor)
        visitor.sign_in(world.tenant.secret)
        assert "assistant" in visitor.get("/services")


def test_signing_out_ends_the_session_everywhere(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        cookie = session_cookie(visitor)
        assert visitor.send("/", "/sign-out").status_code == 303
        visitor.http.cookies.set(SESSION_COOKIE, cookie, domain="portal.test", path="/")
        is_sent_to_sign_in(visitor)


def test_signing_in_again_begins_a_new_session_and_ends_the_old(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        before, count = session_cookie(visitor), len(stored(world))
        visitor.sign_in(world.tenant.secret)
        assert session_cookie(visitor) != before
        assert len(stored(world)) == count


def test_a_key_revoked_in_between_ends_the_session(world: World) -> None:
    key = spare_key(world, role="admin")
    with world.signed_in(key["secret"]) as visitor:
        visitor.get("/services")
        world.fleet.api.delete(f"/v1/api_keys/{key['id']}", headers=world.tenant.headers)
        assert "reason=key" in is_sent_to_sign_in(visitor)
        assert SESSION_COOKIE not in visitor.http.cookies
        assert "no longer accepted" in visitor.get("/sign-in?reason=key")


def test_a_wrong_key_is_told_at_its_field(world: World) -> None:
    wrong = world.tenant.secret[:-1] + ("0" if world.tenant.secret[-1] != "0" else "1")
    unknown = "rmp_svc_local_0123456789abcdefghijABCDEFGHIJ_0Ab3xZ"
    with world.visitor("fr") as visitor:
        for key, said in (("", "Collez ici"), (wrong, "un caractère manque"), (unknown, "clé")):
            answer = visitor.send("/sign-in", "/sign-in", api_key=key, next="/")
            assert answer.status_code == 422
            assert said in answer.text
            assert 'aria-invalid="true"' in answer.text
            assert key == "" or key not in answer.text
        assert SESSION_COOKIE not in visitor.http.cookies


def test_a_form_of_another_site_is_refused(world: World) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        token = visitor.get("/keys/new").partition('name="form_token" value="')[2][:64]
        body = {"form_token": token, "name": "x", "role": "viewer", "kind": "svc", "expires_in_days": "1"}
        foreign: list[dict[str, str]] = [
            {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
            {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
            {"Origin": HOME, "Sec-Fetch-Site": "same-site"},
            {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        ]
        for headers in foreign:
            answer = visitor.http.post("/keys/new", data=body, headers=headers)
            assert answer.status_code == 403, headers
        assert len(list(world.fleet.get("/v1/api_keys")["api_keys"])) >= 1
        names = [key["name"] for key in world.fleet.get("/v1/api_keys")["api_keys"]]
        assert "x" not in names


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_form_without_this_sessions_token_is_refused(world: World, token: str) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        path = f"/services/{world.service['id']}/pause"
        answer = visitor.http.post(path, data={"form_token": token})
        assert answer.status_code == 403
        assert world.fleet.service(world.service)["paused_at"] is None


def test_a_token_of_another_session_is_refused(world: World) -> None:
    with world.signed_in(world.tenant.secret) as one, world.signed_in(world.tenant.secret) as other:
        token = other.get("/keys/new").partition('name="form_token" value="')[2][:64]
        assert one.http.post("/sign-out", data={"form_token": token}).status_code == 403
        one.get("/services")


def test_nobody_is_signed_in_by_another_sites_form(world: World) -> None:
    with world.visitor() as visitor:
        visitor.get("/sign-in")
        answer = visitor.http.post("/sign-in", data={"api_key": world.tenant.secret})
        assert answer.status_code == 403
        assert SESSION_COOKIE not in visitor.http.cookies


def test_signing_in_leads_only_to_pages_of_this_site(world: World) -> None:
    with world.visitor() as visitor:
        answer = visitor.send("/sign-in", "/sign-in", api_key=world.tenant.secret, next="//evil.example")
        assert answer.headers["location"] == "/"
        assert visitor.http.get("/language/fr?next=//evil.example").headers["location"] == "/"


def test_keys_never_reach_the_logs(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), world.signed_in(world.tenant.secret) as visitor:
        visitor.get("/services")
        visitor.send("/sign-in", "/sign-in", api_key=world.tenant.secret + "x", next="/")
        visitor.http.get("/services/svc_nothing")
    shown = capsys.readouterr()
    everything = caplog.text + shown.out + shown.err
    assert world.tenant.secret not in everything
    assert "signed_in" in everything


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_unreachable_api_gives_a_readable_page(world: World, language: str) -> None:
    with world.signed_in(world.tenant.secret, language) as visitor:
        nowhere = f"http://127.0.0.1:{free_port()}"
        portal = visitor.http.app.state.portal  # type: ignore[attr-defined]
        object.__setattr__(portal, "api_url", nowhere)
        page = visitor.get("/services", 502)
        assert ("does not answer" if language == "en" else "ne répond pas") in page
        assert "Traceback" not in page
        assert "http://" not in page.replace("http://www.w3.org", "")
    with world.visitor(language, redis_url=f"redis://127.0.0.1:{free_port()}/0") as visitor:
        visitor.http.cookies.set(SESSION_COOKIE, "x", domain="portal.test", path="/")
        visitor.get("/services", 503)


def test_htmx_is_sent_to_sign_in_by_the_browser(world: World) -> None:
    page = f"/services/{world.service['id']}"
    with world.visitor() as visitor:
        shown = {"HX-Request": "true", "HX-Current-URL": f"{HOME}{page}"}
        answer = visitor.http.get(f"{page}/live", headers=shown)
        assert answer.status_code == 401
        assert answer.headers["hx-redirect"] == f"/sign-in?next={quote(page, safe='')}"


def test_an_ended_session_leads_back_to_where_the_person_was(world: World) -> None:
    page = f"/services/{world.service['id']}"
    back = f"/sign-in?next={quote(page, safe='')}&reason=ended"
    with world.visitor() as visitor:
        visitor.http.cookies.set(SESSION_COOKIE, "gone", domain="portal.test")
        assert visitor.http.get(page).headers["location"] == back
        visitor.http.cookies.set(SESSION_COOKIE, "gone", domain="portal.test")
        sent = visitor.http.post(f"{page}/pause", headers={"Referer": f"{HOME}{page}"})
        assert sent.headers["location"] == back
        visitor.http.cookies.set(SESSION_COOKIE, "gone", domain="portal.test")
        foreign = visitor.http.post(f"{page}/pause", headers={"Referer": "https://evil.example/x"})
        assert foreign.headers["location"] == "/sign-in?next=%2F&reason=ended"
