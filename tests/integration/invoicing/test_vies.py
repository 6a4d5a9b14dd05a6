"""The REST checker against a server that speaks like VIES: what is no clear answer is no answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from controlplane.invoicing import service
from controlplane.invoicing.domain import InvoiceState, VatIdStatus
from controlplane.invoicing.tasks import check_vat_id, retry_waiting
from controlplane.invoicing.vies import ANSWER_BYTES_MAX, RestVatIdChecker
from tests.fixtures.billing import Billing
from tests.fixtures.database import free_port

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
REQUESTER, ASKED = "FR88100000009", "DE123456788"
PATIENCE_SECONDS = 1
GERMAN = {
    "legal_name": "Rechner GmbH", "country": "DE", "siren": None, "vat_id": ASKED,
    "address": {"line1": "Unter den Linden 1", "postal_code": "10117", "city": "Berlin", "country": "DE"},
}  # fmt: skip


def told(**changes: Any) -> bytes:
    """The register's answer to a good number."""
    body = {
        "countryCode": "DE", "vatNumber": "123456788", "requestDate": "2026-11-02T09:00:00.000Z", "valid": True,
        "requestIdentifier": "WAPIAAAAX1", "userError": "VALID", "name": "---", "address": "---",
    }  # fmt: skip
    return json.dumps({**body, **changes}).encode()


def failed(error: str) -> bytes:
    return json.dumps({"actionSucceed": False, "errorWrappers": [{"error": error}]}).encode()


class Register:
    """A local server: `body` and `status` are its next answers, `asked` what it was asked."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = told(), 200, list[dict[str, Any]]()
        self.is_silent, self.over = False, threading.Event()

    @contextmanager
    def serve(self) -> Iterator[str]:
        register = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                register.asked.append({"path": self.path, **json.loads(self.rfile.read(length))})
                if register.is_silent:
                    register.over.wait(timeout=30)
                    return
                self.send_response(register.status)
                self.send_header("Content-Length", str(len(register.body)))
                self.end_headers()
                self.wfile.write(register.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/rest-api/"
        finally:
            self.over.set()
            server.shutdown()
            server.server_close()
            thread.join(timeout=10)


@pytest.fixture
def register() -> Register:
    return Register()


@pytest.fixture
def checker(register: Register) -> Iterator[RestVatIdChecker]:
    with register.serve() as url:
        yield RestVatIdChecker(url, REQUESTER, timeout_seconds=PATIENCE_SECONDS)


def test_it_asks_as_the_published_api_wants_and_keeps_the_proof(
    checker: RestVatIdChecker, register: Register
) -> None:
    answer = checker.check(ASKED, NOW)
    assert (answer.status, answer.consultation_number) == (VatIdStatus.VALID, "WAPIAAAAX1")
    assert (answer.source, answer.is_simulated, answer.checked_at) == ("VIES", False, NOW)
    assert register.asked == [
        {
            "path": "/rest-api/check-vat-number", "countryCode": "DE", "vatNumber": "123456788",
            "requesterMemberStateCode": "FR", "requesterNumber": "88100000009",
        }
    ]  # fmt: skip


NO = [
    told(valid=False, userError="INVALID"),
    told(valid=False, userError=""),
    told(valid=False, userError="INVALID_INPUT"),
]


@pytest.mark.parametrize("body", NO)
def test_a_number_that_the_register_does_not_know_is_invalid(
    checker: RestVatIdChecker, register: Register, body: bytes
) -> None:
    register.body = body
    assert checker.check(ASKED, NOW).status is VatIdStatus.INVALID


# Shapes in which the register says that it could not say, and things that are no answer at all.
UNCLEAR = {
    **{
        error: told(valid=False, userError=error)
        for error in (
            "MS_UNAVAILABLE",
            "TIMEOUT",
            "SERVICE_UNAVAILABLE",
            "MS_MAX_CONCURRENT_REQ",
            "IP_BLOCKED",
        )
    },
    "failure": failed("MS_UNAVAILABLE"),
    "failure that says valid": json.dumps({**json.loads(failed("TIMEOUT")), "valid": True}).encode(),
    "valid with an error": told(userError="MS_UNAVAILABLE"),
    "another number": told(vatNumber="999999999"),
    "another country": told(countryCode="FR"),
    "no verdict": told(valid=None),
    "a verdict in words": told(valid="true"),
    "a list": b"[true]",
    "a word": b"valid",
    "a page": b"<html>Maintenance</html>",
    "bytes": bytes(range(256)),
    "nothing": b"",
    "a pit": b"[" * 50_000,
    "a flood": told(name="x" * ANSWER_BYTES_MAX),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_no_clear_answer_proves_nothing(
    checker: RestVatIdChecker, register: Register, name: str
) -> None:
    register.body = UNCLEAR[name]
    answer = checker.check(ASKED, NOW)
    assert (answer.status, answer.consultation_number) == (VatIdStatus.UNREACHABLE, "")


@pytest.mark.parametrize("status", [204, 302, 400, 404, 429, 500, 503])
def test_only_200_is_an_answer(checker: RestVatIdChecker, register: Register, status: int) -> None:
    register.status = status
    register.body = b"" if status == 204 else told()
    assert checker.check(ASKED, NOW).status is VatIdStatus.UNREACHABLE


def test_a_register_that_says_nothing_is_not_waited_for(
    checker: RestVatIdChecker, register: Register
) -> None:
    register.is_silent = True
    assert checker.check(ASKED, NOW).status is VatIdStatus.UNREACHABLE


def test_a_register_that_is_not_there_is_unreachable() -> None:
    nobody = RestVatIdChecker(f"http://127.0.0.1:{free_port()}", REQUESTER)
    assert nobody.check(ASKED, NOW).status is VatIdStatus.UNREACHABLE


def test_an_invoice_waits_while_the_register_does_not_answer(
    billing: Billing, checker: RestVatIdChecker, register: Register
) -> None:
    """Maintenance, garbage, silence, a valid number without proof: held with the reason, no number taken."""
    tenant_id = billing.sign_up(**GERMAN)
    billing.use(tenant_id)
    billing.end_month()
    held = billing.invoice(tenant_id)

    def ask(body: bytes) -> str:
        register.body = body
        check_vat_id(billing.database, checker, tenant_id, ASKED)
        retry_waiting(billing.database)
        with billing.database.system(is_read_only=True) as uow:
            invoice = service.get_invoice(uow, held.id, tenant_id)
        assert (invoice.state, invoice.number) in (
            (InvoiceState.HELD, None),
            (InvoiceState.ISSUED, invoice.number),
        )
        return invoice.state if invoice.hold is None else invoice.hold.code

    for body in (UNCLEAR["MS_UNAVAILABLE"], UNCLEAR["failure"], UNCLEAR["a page"]):
        assert ask(body) == "vies_unreachable"
    register.is_silent = True
    assert ask(told()) == "vies_unreachable"
    register.is_silent = False
    assert ask(told(requestIdentifier="")) == "vat_id_unproved"
    assert ask(told(valid=False, userError="INVALID")) == "vat_id_invalid"
    assert ask(told()) == InvoiceState.ISSUED
    with billing.database.system(is_read_only=True) as uow:
        issued = service.get_invoice(uow, held.id, tenant_id)
    assert issued.provenance["vies_consultation"] == "WAPIAAAAX1"
    assert issued.totals.tax_minor == 0
