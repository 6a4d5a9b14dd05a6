"""A real browser for the portal: Debian's Chromium, driven by Playwright. For the demo, the pictures and the tests.

Playwright is installed with the development tools and brings no browser of its own here: the machine's is used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Error, Page

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Nothing leaves this machine: no update, no sync, no first-run page; and no GPU is needed to draw pages.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
STEP_SECONDS_MAX = 30.0
WIDTH, HEIGHT = 1280, 800

Scheme = Literal["light", "dark"]


class NoBrowser(Exception):
    """There is no Chromium on this machine."""


@dataclass
class Complaints:
    """What a page's console complained about, with violations of the content security policy among it.

    Without slots: Playwright keeps its wrappers on the object whose methods it calls.
    """

    said: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.said.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def catch(self, error: Error) -> None:
        self.said.append(f"exception: {error}")


def find_chromium() -> Path | None:
    """Return the machine's Chromium, or None."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return None if found is None else Path(found)


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Start a browser and end it. Errors: NoBrowser."""
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        raise NoBrowser(f"none of {', '.join(NAMES)} is on the path; on Debian: apt-get install chromium")
    # Chromium's own sandbox cannot be set up by root; only our own pages are opened.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_page(
    browser: Browser,
    *,
    language: str = "en",
    scheme: Scheme = "light",
    width: int = WIDTH,
    height: int = HEIGHT,
    has_script: bool = True,
) -> Iterator[tuple[Page, Complaints]]:
    """Open a page with cookies of its own; yields it with what it will complain about."""
    context = browser.new_context(
        locale="fr-FR" if language == "fr" else "en-GB",
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        java_script_enabled=has_script,
        reduced_motion="reduce",
        accept_downloads=True,
    )
    context.set_default_timeout(STEP_SECONDS_MAX * 1000)
    try:
        page = context.new_page()
        complaints = Complaints()
        page.on("console", complaints.hear)
        page.on("pageerror", complaints.catch)
        yield page, complaints
    finally:
        context.close()


def sign_in(page: Page, portal_url: str, key: str) -> None:
    """Sign in as a person does: paste the key, press the button, see the overview."""
    page.goto(f"{portal_url}/sign-in")
    page.fill("#api_key", key)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{portal_url}/")
