"""Chapter 9: the month is over: frozen, rated, issued, accepted by the official rules, booked; and what comes after."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from infra.demo import books, customers
from infra.demo.customers import GERMAN_VAT_ID, Customer, last_hours, use_simulated_gpus
from infra.demo.stage import Stage
from infra.demo.teller import Teller, require
from infra.demo.tenant import Tenant
from infra.demo.waiting import wait_until

# Months are closed by themselves six hours after their end; the story does it before, and by hand.
AFTER_MONTH_END = timedelta(hours=2)
MAIN = "atelier"
PARIS = ZoneInfo("Europe/Paris")


def tell(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    others = customers.sign_up(teller, stage)
    cost = tenant.client.costs.get()
    month_end = datetime.fromisoformat(cost["period_end"])
    month = f"{datetime.fromisoformat(cost['period_start']).astimezone(PARIS):%Y-%m}"
    teller.figure("month", {"name": month, "start": cost["period_start"], "end": cost["period_end"]})
    clock = stage.move_clock_to(month_end + AFTER_MONTH_END)
    teller.say(f"the clock is moved to {clock:%Y-%m-%d %H:%M} UTC (simulated): {month} is over in Paris")
    start, end = last_hours(month_end, 2)
    use_simulated_gpus(stage, others["réunion"], "volcan", 4, start, end)
    use_simulated_gpus(stage, others["germany"], "rechner", 8, start, end)
    teller.say(
        "their simulated GPUs report through the producers' door; the same events sent again change nothing"
    )
    issued = _close_all(teller, stage, tenant, others, month)
    require(
        Decimal(issued[MAIN]["net"]) == Decimal(cost["net"]),
        f"the invoice says {issued[MAIN]['net']}, the live cost said {cost['net']}",
    )
    _close_again(teller, stage, tenant, issued[MAIN], month)
    issued["credit note"] = _credit(teller, stage, issued[MAIN])
    _pay(teller, stage, issued["réunion"])
    issued["correction"] = _come_late(teller, stage, others["réunion"], issued["réunion"], month_end)
    books.tell(teller, stage, issued)


def _close_all(
    teller: Teller, stage: Stage, tenant: Tenant, others: dict[str, Customer], month: str
) -> dict[str, dict[str, Any]]:
    """Close each customer's month; the German one waits for VIES, and is issued by its answer."""
    german = others["germany"]
    issued = {MAIN: _close(stage, tenant.organization["id"], month)}
    held = stage.admin.platform_invoices.close_period(german.id, month)["invoice"]
    require(held["state"] == "HELD", f"without an answer of VIES nothing is issued at 0 %: {held['state']}")
    teller.say(f"{german.name} is held: {held['hold']['code']}: {held['hold']['reason']}")
    stage.admin.platform_invoices.record_vat_check(
        {
            "organization_id": german.id,
            "vat_id": GERMAN_VAT_ID,
            "status": "VALID",
            "consultation_number": "SIMULATED-1",
            "is_simulated": True,
        }
    )
    issued["réunion"] = _close(stage, others["réunion"].id, month)

    def is_issued() -> dict[str, Any] | None:
        invoice = stage.admin.platform_invoices.get(held["id"])
        return invoice if invoice["state"] == "ISSUED" else None

    issued["germany"] = wait_until(teller, "the German invoice", is_issued, 20)
    teller.say(
        "the operator records a valid answer of VIES (simulated, and marked so): it is issued by itself"
    )
    wanted = {MAIN: ("S", "20"), "réunion": ("S", "8.5"), "germany": ("AE", "0")}
    for place, (category, rate) in wanted.items():
        invoice = issued[place]
        found = (invoice["vat"]["category"], invoice["vat"]["rate"])
        require(found == (category, rate), f"{place}: VAT {found}, and the law says {category} {rate}")
        say_invoice(teller, invoice)
    exemption = issued["germany"]["vat"]["exemption"]
    require(exemption and exemption.startswith("Autoliquidation"), "reverse charge needs its mention")
    return issued


def _close(stage: Stage, organization_id: str, month: str) -> dict[str, Any]:
    closed = stage.admin.platform_invoices.close_period(organization_id, month)
    invoice = closed["invoice"]
    require(invoice is not None and invoice["state"] == "ISSUED", f"not issued: {invoice}")
    return dict(invoice)


def say_invoice(teller: Teller, invoice: dict[str, Any]) -> None:
    kind = "credit note" if invoice["kind"] == "381" else "invoice"
    vat = invoice["vat"]
    mention = f", «{vat['exemption']}»" if vat["exemption"] else ""
    about = f" of {invoice['corrects']}" if invoice["corrects"] else ""
    teller.say(
        f"{kind} {invoice['number']}{about}, {invoice['buyer']['legal_name']}: {invoice['net']} € "
        f"+ VAT {vat['rate']} % {invoice['tax']} € = {invoice['gross']} €{mention}"
    )


def _close_again(teller: Teller, stage: Stage, tenant: Tenant, invoice: dict[str, Any], month: str) -> None:
    again = stage.admin.platform_invoices.close_period(tenant.organization["id"], month)
    require(not again["is_new"], "a second close must change nothing")
    require(again["invoice"] == invoice, "a second close must return the first one's invoice")
    teller.say("closed again: nothing changes, the same invoice comes back")


def _credit(teller: Teller, stage: Stage, invoice: dict[str, Any]) -> dict[str, Any]:
    """Give back one euro of the dearest line."""
    line = max(invoice["lines"], key=lambda each: Decimal(each["net"]))
    note = stage.admin.platform_invoices.credit_note(
        invoice["id"], "Geste commercial (démonstration)", [{"position": line["position"], "net": "1.00"}]
    )
    require(note["corrects"] == invoice["number"], "a credit note must refer to its invoice")
    say_invoice(teller, note)
    return note


def _pay(teller: Teller, stage: Stage, invoice: dict[str, Any]) -> None:
    receipt = stage.admin.platform_payments.receive(
        {
            "organization_id": invoice["organization_id"],
            "amount": invoice["gross"],
            "received_on": invoice["issued_on"],
            "bank_reference": "demo/1",
            "remittance": invoice["number"],
        }
    )
    settled = receipt["settles"][0]
    require(settled["invoice_id"] == invoice["id"], "the payment settles the invoice that it names")
    teller.say(
        f"{settled['amount']} € arrive for {invoice['number']}: settled, and {settled['vat']} € of VAT fall due"
    )


def _come_late(
    teller: Teller, stage: Stage, customer: Customer, original: dict[str, Any], month_end: datetime
) -> dict[str, Any]:
    """An event of the closed month that comes after it: on the next month's invoice, as a correction."""
    start, end = last_hours(month_end, 1)
    use_simulated_gpus(stage, customer, "volcan-late", 1, start, end)
    unchanged = stage.admin.platform_invoices.get(original["id"])
    require(unchanged["gross"] == original["gross"], "an issued invoice never changes")
    # The months of invoices are those of Paris, whatever their edges are in UTC.
    begun = month_end.astimezone(PARIS)
    following = (begun + timedelta(days=32)).replace(day=1)
    stage.move_clock_to(following + AFTER_MONTH_END)
    corrected = _close(stage, customer.id, f"{begun:%Y-%m}")
    lines = [line for line in corrected["lines"] if line["is_correction"]]
    require(lines and len(lines) == len(corrected["lines"]), "late usage must be a correction")
    say_invoice(teller, corrected)
    line = lines[0]
    teller.say(
        f"  · one GPU hour that came late: «{line['name']}» {line['net']} €, and {original['number']} unchanged"
    )
    teller.figure("correction_line", {"name": line["name"], "net": line["net"]})
    return corrected
