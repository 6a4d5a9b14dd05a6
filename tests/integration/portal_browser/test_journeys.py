"""What people do in a real browser: by keyboard alone, without script, and from sign-in to a second service."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from controlplane.portal.sessions import IDLE
from controlplane.portal.web import SESSION_COOKIE
from infra.local.browser import opened_page, sign_in
from tests.fixtures.portal import World

TABS_MAX = 40
TARGET_PX_MIN = 24


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus; each stop on the way must be visible."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        box = page.evaluate(
            "() => { const b = document.activeElement.getBoundingClientRect(); return [b.width, b.height] }"
        )
        assert box[0] > 0, "the focus is on something that is not shown"
    raise AssertionError(f"{selector} is not reached by keyboard")


def test_signing_in_needs_no_mouse(browser: Browser, world: World, portal_url: str) -> None:
    with opened_page(browser) as (page, complaints):
        page.goto(f"{portal_url}/sign-in")
        assert page.evaluate("document.activeElement.id") == "api_key", "the field has the focus at once"
        page.keyboard.insert_text(world.tenant.secret)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{portal_url}/")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#content")).to_be_focused()
        page.goto(f"{portal_url}/")
        tab_to(page, 'a[href="/services"]')
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "what has the focus is seen to have it"
        page.keyboard.press("Enter")
        page.wait_for_url(f"{portal_url}/services")
        assert complaints.said == []


def test_the_browser_keeps_the_session_cookie_on_loopback(
    browser: Browser, world: World, portal_url: str
) -> None:
    """Chromium takes loopback for a secure origin: a Secure `__Host-` cookie is kept without TLS."""
    with opened_page(browser) as (page, _):
        sign_in(page, portal_url, world.tenant.secret)
        (cookie,) = [each for each in page.context.cookies() if each.get("name") == SESSION_COOKIE]
        assert cookie.get("secure")
        assert cookie.get("httpOnly")
        assert cookie.get("sameSite") == "Lax"
        assert cookie.get("expires") == -1, "it goes with the browser, the session itself ends sooner"
        assert page.evaluate("document.cookie") == ""
        assert IDLE.total_seconds() == 1800


def test_a_second_service_is_deployed_without_script(browser: Browser, world: World, portal_url: str) -> None:
    with opened_page(browser, language="fr", has_script=False) as (page, _):
        sign_in(page, portal_url, world.tenant.secret)
        page.click('main a[href="/services/new"]')
        page.fill("#name", "sans-script")
        page.select_option("#model", "smollm2-135m-instruct")
        page.select_option("#app_id", "new")
        page.fill("#app_name", "sans-script")
        page.check("#countries-FR")
        page.click("main form button.main")
        page.wait_for_url(re.compile("/services/svc_"))
        expect(page.locator("h1")).to_have_text("sans-script")
        expect(page.get_by_role("status")).to_contain_text("créé")
        page.get_by_role("button", name="Mettre en pause").click()
        expect(page.get_by_role("status")).to_contain_text("mis en pause")


def test_a_services_page_follows_it_by_itself(browser: Browser, world: World, portal_url: str) -> None:
    service = world.fleet.create_service("followed", sovereignty={"countries": ["SE"]})
    with opened_page(browser) as (page, complaints):
        sign_in(page, portal_url, world.tenant.secret)
        page.goto(f"{portal_url}/services/{service['id']}")
        expect(page.locator("#live")).not_to_contain_text("Scaling limits changed")
        world.fleet.post(f"/v1/services/{service['id']}/scale", {"min": 0, "max": 3})
        expect(page.locator("#live")).to_contain_text("Scaling limits changed", timeout=20_000)
        assert complaints.said == []


def test_the_language_is_switched_and_kept(browser: Browser, world: World, portal_url: str) -> None:
    with opened_page(browser, language="fr") as (page, _):
        page.goto(f"{portal_url}/sign-in")
        expect(page.locator("h1")).to_have_text("Se connecter")
        page.click('a[hreflang="en"]')
        expect(page.locator("h1")).to_have_text("Sign in")
        sign_in(page, portal_url, world.tenant.secret)
        expect(page.locator("h1")).to_have_text("Overview")


def test_the_policy_is_enforced_by_the_browser(browser: Browser, world: World, portal_url: str) -> None:
    """The canary: what the policy forbids is really stopped, so that a silent console means something."""
    with opened_page(browser) as (page, complaints):
        page.goto(f"{portal_url}/sign-in")
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
            " document.body.append(s); }"
        )
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in said for said in complaints.said)


def test_targets_are_large_enough_to_hit(browser: Browser, world: World, portal_url: str) -> None:
    with opened_page(browser, width=320) as (page, _):
        sign_in(page, portal_url, world.tenant.secret)
        for path in ("/", "/services/new", f"/services/{world.service['id']}", "/keys"):
            page.goto(portal_url + path)
            small = page.evaluate(
                """least => [...document.querySelectorAll('button, a.button, .side a, .top a, input, select, summary')]
                    .filter(e => e.type !== 'hidden' && !e.closest('[hidden]') && e.offsetParent)
                    .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
                    .filter(([, b]) => b.width < least || b.height < least).map(([html]) => html)""",
                TARGET_PX_MIN,
            )
            assert small == [], path
