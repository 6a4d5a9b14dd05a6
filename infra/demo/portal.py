"""Chapter 10: the tenant's people open the portal, see what the story did, and deploy with a form."""

from __future__ import annotations

import hashlib
from typing import Protocol

from controlplane.portal.sentence_rules import tell as tell_sentence
from infra.demo.browser import opened_visitor
from infra.demo.forms import PlainVisitor, Values, text_of
from infra.demo.stage import Stage
from infra.demo.teller import Teller, require
from infra.demo.tenant import MODEL, Tenant
from infra.demo.usage import engine_totals
from infra.local.browser import find_chromium

SECOND_SERVICE = "assistant-two"
SERVICE_SECONDS_MAX = 60


class Visitor(Protocol):
    """Somebody who reads pages and sends forms."""

    def open(self, path: str) -> str: ...
    def send(self, action: str, values: Values, arrives_at: str) -> str: ...
    def download(self, path: str) -> bytes: ...
    def take_picture(self) -> bytes | None: ...


def tell(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    url = stage.environment["REMPART_PORTAL_URL"]
    if find_chromium() is None:
        teller.say("!!! NO BROWSER WAS FOUND (chromium): THE BROWSER PART OF THIS CHAPTER DID NOT RUN !!!")
        teller.say(
            "instead the same pages are opened and the same forms sent over plain HTTP; there are no pictures"
        )
        teller.figure("portal_browser", None)
        with PlainVisitor(url) as plain:
            _visit(teller, tenant, plain)
        return
    with opened_visitor(url) as browser:
        teller.say(f"the portal opens in Chromium {browser.version}")
        teller.figure("portal_browser", f"Chromium {browser.version}")
        _visit(teller, tenant, browser)
        require(not browser.complaints.said, f"the browser complains: {browser.complaints.said}")
    with PlainVisitor(url) as plain:
        _sign_in(tenant, plain)
        assert tenant.service is not None
        _look_at_service(tenant, plain)
    teller.say("signed in and looked again over plain HTTP, without a browser: it works without JavaScript")


def _visit(teller: Teller, tenant: Tenant, visitor: Visitor) -> None:
    overview = _sign_in(tenant, visitor)
    _keep_picture(teller, visitor, "overview")
    require(tenant.organization["legal_name"] in overview, "the overview says whose it is")
    event = _look_at_service(tenant, visitor)
    _keep_picture(teller, visitor, "service")
    teller.say(
        f"the tenant signs in with its key; 'assistant' is shown with its verdict (admissible) and «{event}»"
    )
    _look_at_usage(teller, tenant, visitor)
    _take_invoice(teller, tenant, visitor)
    _deploy(teller, tenant, visitor)


def _sign_in(tenant: Tenant, visitor: Visitor) -> str:
    visitor.open("/language/en")
    visitor.open("/sign-in")
    return text_of(visitor.send("/sign-in", {"api_key": tenant.key}, "/"))


def _look_at_service(tenant: Tenant, visitor: Visitor) -> str:
    """The service's page has its verdict, why Dublin is out, and its newest event, which is returned."""
    assert tenant.service is not None
    service_id = tenant.service["id"]
    # Read first: what happens meanwhile stands above it on the page.
    event = next(iter(tenant.client.services.events(service_id)))
    told, _ = tell_sentence(str(event["message"]), lambda text: text)
    message = " ".join(told.split())
    page = text_of(visitor.open(f"/services/{service_id}"))
    for words in (MODEL, "essonne-1", "Admissible", "Meridian Cloud Inc.", message):
        require(words in page, f"the service's page must say: {words}")
    return message


def _look_at_usage(teller: Teller, tenant: Tenant, visitor: Visitor) -> None:
    page = text_of(visitor.open("/usage"))
    tokens = engine_totals(tenant)["output_tokens"]
    amount = tenant.client.costs.get()["net"]
    for words in (f" {tokens} ", amount):
        require(words in page, f"the usage page must say: {words}")
    _keep_picture(teller, visitor, "usage")
    teller.say(f"usage and cost: {tokens} output tokens and {amount} €, as the API and the engine say")


def _take_invoice(teller: Teller, tenant: Tenant, visitor: Visitor) -> None:
    invoice = next(each for each in tenant.client.invoices.list() if each["kind"] == "380")
    page = text_of(visitor.open(f"/invoices/{invoice['id']}"))
    require(invoice["number"] in page, f"the invoice's page must say {invoice['number']}")
    _keep_picture(teller, visitor, "invoice")
    content = visitor.download(f"/invoices/{invoice['id']}/pdf")
    digest = hashlib.sha256(content).hexdigest()
    archived = teller.figures["archive_sha256"][f"{invoice['number']}.pdf"]
    require(digest == archived, f"the downloaded file is {digest}, the archived one {archived}")
    teller.say(f"invoice {invoice['number']} downloaded as PDF: byte for byte the archived one")


def _deploy(teller: Teller, tenant: Tenant, visitor: Visitor) -> None:
    visitor.open("/services/new")
    wish: Values = {
        "name": SECOND_SERVICE,
        "model": MODEL,
        "instance_type": "process-cpu",
        "app_id": tenant.app_id,
        "min": "0",
        "max": "1",
        "idle_seconds": "60",
        "countries": ("FR",),
    }
    page = text_of(visitor.send("/services/new", wish, "/services/svc_[^/]+"))
    require(SECOND_SERVICE in page, "the new service's page follows its form")
    service = next(each for each in tenant.client.services.list() if each["name"] == SECOND_SERVICE)
    tenant.client.wait_for_service(service["id"], timeout_seconds=SERVICE_SECONDS_MAX)
    visitor.open(f"/services/{service['id']}")
    _keep_picture(teller, visitor, "second-service")
    teller.say(f"a second service, '{SECOND_SERVICE}', is deployed with the form, and ready")
    teller.figure("portal_second_service", service["id"])


def _keep_picture(teller: Teller, visitor: Visitor, name: str) -> None:
    picture = visitor.take_picture()
    if picture is not None:
        teller.keep_file(f"portal/{name}.png", picture)
