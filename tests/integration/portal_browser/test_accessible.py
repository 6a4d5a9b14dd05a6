"""Every page in a real browser: axe finds nothing, the console stays silent, nothing is wider than the window."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from infra.local.browser import Complaints, Scheme, opened_page, sign_in
from tests.fixtures.portal import World

RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }
}
NARROW, WIDE = 320, 1280
Look = tuple[str, Scheme, int]
# Every page in both languages, both widths and both schemes; the main pages in all eight combinations.
EVERYWHERE: list[Look] = [("en", "light", WIDE), ("fr", "dark", NARROW)]
ELSEWHERE: list[Look] = [
    ("en", "light", NARROW), ("en", "dark", NARROW), ("en", "dark", WIDE), ("fr", "light", NARROW),
    ("fr", "light", WIDE), ("fr", "dark", WIDE),
]  # fmt: skip


def check(page: Page, complaints: Complaints, url: str) -> None:
    page.goto(url)
    # axe runs outside the page's policy, but may upset it: what the page itself complains about is read before.
    assert complaints.said == [], url
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert too_wide <= 0, f"{url} is {too_wide} px wider than the window"
    found: Any = Axe().run(page, options=RULES)
    problems = [
        f"{violation['id']}: {[node['html'][:200] for node in violation['nodes']]}"
        for violation in found.response["violations"]
    ]
    assert problems == [], url
    assert found.response["passes"], "axe looked at nothing"
    complaints.said.clear()


@pytest.mark.parametrize(("language", "scheme", "width"), EVERYWHERE)
def test_axe_finds_nothing_on_any_page_of_a_tenant(
    browser: Browser, world: World, portal_url: str, language: str, scheme: Scheme, width: int
) -> None:
    with opened_page(browser, language=language, scheme=scheme, width=width) as (page, complaints):
        check(page, complaints, f"{portal_url}/sign-in")
        sign_in(page, portal_url, world.tenant.secret)
        assert page.locator("html").get_attribute("lang") == language
        for path in world.tenant_pages():
            check(page, complaints, portal_url + path)


@pytest.mark.parametrize(("language", "scheme", "width"), ELSEWHERE)
def test_axe_finds_nothing_on_the_main_pages_however_they_are_looked_at(
    browser: Browser, world: World, portal_url: str, language: str, scheme: Scheme, width: int
) -> None:
    with opened_page(browser, language=language, scheme=scheme, width=width) as (page, complaints):
        sign_in(page, portal_url, world.tenant.secret)
        for path in ("/", f"/services/{world.service['id']}", "/services/new", "/usage"):
            check(page, complaints, portal_url + path)


@pytest.mark.parametrize(("language", "scheme", "width"), EVERYWHERE)
def test_axe_finds_nothing_on_any_page_of_the_operator(
    browser: Browser, world: World, portal_url: str, language: str, scheme: Scheme, width: int
) -> None:
    with opened_page(browser, language=language, scheme=scheme, width=width) as (page, complaints):
        sign_in(page, portal_url, world.operator_key)
        for path in world.operator_pages():
            check(page, complaints, portal_url + path)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_axe_finds_nothing_where_there_is_nothing_yet(
    browser: Browser, world: World, portal_url: str, language: str
) -> None:
    with opened_page(browser, language=language, width=NARROW) as (page, complaints):
        sign_in(page, portal_url, world.newcomer.secret)
        for path in ("/", "/services", "/playground", "/sovereignty", "/usage", "/invoices"):
            check(page, complaints, portal_url + path)


def test_a_refused_form_is_accessible_and_leads_to_its_field(
    browser: Browser, world: World, portal_url: str
) -> None:
    with opened_page(browser, language="fr") as (page, complaints):
        sign_in(page, portal_url, world.tenant.secret)
        page.goto(f"{portal_url}/services/new")
        page.fill("#name", "Pas Un Nom")
        page.select_option("#model", "smollm2-135m-instruct")
        page.select_option("#app_id", label="app-assistant")
        page.click("main form button.main")
        page.get_by_role("alert").get_by_role("link").first.click()
        assert page.evaluate("document.activeElement.id") == "name"
        complaints.said.clear()  # Chromium notes each answer of 4xx.
        found = Axe().run(page, options=RULES)
        assert found.response["violations"] == []
