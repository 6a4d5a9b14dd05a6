"""The API's reference in a real browser: axe finds nothing, the console stays silent, and nobody else is asked."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from infra.local.browser import Scheme, opened_page
from tests.fixtures.portal import World
from tests.integration.portal_browser.test_accessible import NARROW, WIDE, check


@pytest.mark.case("W10")
@pytest.mark.parametrize(("scheme", "width"), [("light", WIDE), ("dark", NARROW)])
def test_the_reference_asks_nobody_but_its_own_installation(
    browser: Browser, world: World, scheme: Scheme, width: int
) -> None:
    asked: list[str] = []
    with opened_page(browser, scheme=scheme, width=width) as (page, complaints):
        page.on("request", lambda request: asked.append(request.url))
        for path in ("/docs", "/docs/services", "/docs/sign-up"):
            check(page, complaints, world.api_url + path)
        assert page.evaluate("getComputedStyle(document.querySelector('.top')).display") == "flex", "no style"
    assert len(asked) > 3
    assert [url for url in asked if not url.startswith(f"{world.api_url}/")] == []
