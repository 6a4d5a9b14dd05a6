"""`python -m infra.demo.pictures`: take the pictures of docs/tenants/portal.md from a stack of its own.

The stack is told the first chapters of the demo's story, so that the pages show what really runs. Nothing of it is
left but the pictures.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.sdk import Rempart
from infra.demo import fleet, tenant
from infra.demo.stage import Stage, opened_stage
from infra.demo.teller import StoryBroken, Teller
from infra.local.browser import NoBrowser, opened_browser, opened_page, sign_in
from infra.local.paths import REPOSITORY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = REPOSITORY / "docs" / "tenants" / "pictures"
BYTES_MAX = 1_000_000
WAKE_SECONDS_MAX = 90
QUESTION = "Name the capital of France in one short sentence."
BUDGET = "500.00"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="rmp-pictures-") as scratch:
        folder = Path(scratch)
        teller = Teller(folder)
        try:
            with opened_stage(teller, folder / "stack") as stage, opened_browser() as browser:
                fleet.tell(teller, stage)
                customer = tenant.sign_up(teller, stage)
                tenant.deploy(teller, customer)
                with Rempart(customer.key, stage.environment["REMPART_API_URL"]) as client:
                    client.budgets.set({"amount": BUDGET, "is_hard": True})
                FOLDER.mkdir(parents=True, exist_ok=True)
                _take_all(browser, stage, customer)
        except (StoryBroken, NoBrowser) as err:
            print(err, file=sys.stderr)
            return 1
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    print(
        f"{len(list(FOLDER.glob('*.png')))} pictures, {total / 1000:.0f} kB, in {FOLDER.relative_to(REPOSITORY)}"
    )
    return 0 if total <= BYTES_MAX else 1


def _take_all(browser: Browser, stage: Stage, customer: tenant.Tenant) -> None:
    assert customer.service is not None
    url = stage.environment["REMPART_PORTAL_URL"]
    service = f"{url}/services/{customer.service['id']}"
    with opened_page(browser) as (page, _):
        page.goto(f"{url}/sign-in")
        _take(page, "sign-in")
        sign_in(page, url, customer.key)
        page.goto(f"{url}/services/new")
        _take(page, "deploy")
        page.goto(f"{service}/playground")
        page.fill("#prompt", QUESTION)
        page.click("main button.main")
        page.locator("#answer-milliseconds:not(:empty)").wait_for(timeout=WAKE_SECONDS_MAX * 1000)
        _take(page, "playground")
        page.goto(service)
        _take(page, "service")
        page.locator("#placement").scroll_into_view_if_needed()
        page.locator("#placement").screenshot(path=FOLDER / "why.png")
    with opened_page(browser, language="fr", scheme="dark") as (page, _):
        sign_in(page, url, customer.key)
        _take(page, "overview-fr-dark")
        page.goto(f"{url}/usage")
        _take(page, "usage-fr-dark")
    with opened_page(browser) as (page, _):
        sign_in(page, url, stage.environment["REMPART_ADMIN_KEY"])
        page.goto(f"{url}/operator/datacenters/dublin-1")
        _take(page, "operator-datacenter")


def _take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
