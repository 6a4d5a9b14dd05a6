"""A visitor with a real browser: Chromium, driven by Playwright, as a person would click."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Self

from playwright.sync_api import Error, Locator, sync_playwright

from infra.demo.forms import Values, text_of
from infra.demo.teller import StoryBroken
from infra.local.browser import launch_flags

TIMEOUT_MS = 30_000
# A laptop's window; pictures show the whole page.
VIEWPORT_WIDTH, VIEWPORT_HEIGHT = 1280, 900


class BrowserVisitor:
    """Opens pages and sends forms in one window. Errors: StoryBroken with what the browser said."""

    def __init__(self, url: str, executable: Path) -> None:
        self._url = url
        self._playwright = sync_playwright().start()
        try:
            self._browser = self._playwright.chromium.launch(executable_path=executable, args=launch_flags())
        except Error as err:
            self._playwright.stop()
            raise StoryBroken(f"the browser {executable} does not start: {err.message}") from err
        viewport = {"width": VIEWPORT_WIDTH, "height": VIEWPORT_HEIGHT}
        self._page = self._browser.new_page(viewport=viewport, locale="en-GB", color_scheme="light")  # type: ignore[arg-type]
        self._page.set_default_timeout(TIMEOUT_MS)
        self.version = self._browser.version
        self.complaints: list[str] = []
        self._page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._playwright.stop()

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
        try:
            self._page.wait_for_url(re.compile(re.escape(self._url + arrives_at)))
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
