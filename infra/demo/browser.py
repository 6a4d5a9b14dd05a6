"""A visitor with a real browser: Chromium, driven by Playwright, as a person would click."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.demo.forms import Values, text_of
from infra.demo.teller import StoryBroken
from infra.local.browser import Complaints, opened_browser, opened_page

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# A laptop's window; pictures show the whole page.
WIDTH, HEIGHT = 1280, 900


@dataclass(frozen=True, slots=True)
class BrowserVisitor:
    """Opens pages and sends forms in one window. Errors: StoryBroken with what the browser said."""

    _url: str
    _page: Page
    version: str
    complaints: Complaints

    def open(self, path: str) -> str:
        reply = self._page.goto(self._url + path)
        if reply is None or not reply.ok:
            raise StoryBroken(f"GET {path} of the portal answered {reply.status if reply else 'nothing'}")
        return self._page.content()

    def send(self, action: str, values: Values, arrives_at: str) -> str:
        form = self._page.locator(f'form[action="{action}"]')
        for name, value in values.items():
            self._fill(form.locator(f'[name="{name}"]'), value)
        form.locator('button[type="submit"]').first.click()
        from playwright.sync_api import Error

        try:
            self._page.wait_for_url(re.compile(rf"{re.escape(self._url)}{arrives_at}([?#].*)?$"))
        except Error as err:
            said = text_of(self._page.content())[:500]
            raise StoryBroken(f"the form of {action} led to {self._page.url}: {said}") from err
        return self._page.content()

    def _fill(self, field: Locator, value: str | tuple[str, ...]) -> None:
        if isinstance(value, tuple):
            for each in range(field.count()):
                box = field.nth(each)
                box.set_checked(box.get_attribute("value") in value)
        elif field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)

    def download(self, path: str) -> bytes:
        """Click the link to a file of the open page."""
        with self._page.expect_download() as coming:
            self._page.locator(f'a[href="{path}"]').first.click()
        return Path(coming.value.path()).read_bytes()

    def take_picture(self) -> bytes | None:
        return self._page.screenshot(full_page=True)


@contextmanager
def opened_visitor(url: str) -> Iterator[BrowserVisitor]:
    """Start the machine's browser and end it. Errors: NoBrowser; StoryBroken for whatever the browser says."""
    from playwright.sync_api import Error

    try:
        with opened_browser() as browser, opened_page(browser, width=WIDTH, height=HEIGHT) as opened:
            page, complaints = opened
            yield BrowserVisitor(url, page, browser.version, complaints)
    except Error as err:
        raise StoryBroken(f"the browser: {err.message}") from err
