"""A month of many tenants becomes invoices, then files. Prints JSON.

Run: `python -m tests.bench.bench_invoicing [--tenants 1000] [--files 100]`. A real PostgreSQL with fsync, one process,
one tenant after the other: freeze, rate, draft, issue, each as the month's close does it. The hourly sums are written
straight into their table, 12 priced things for each tenant: taking usage in is what bench_metering measures. Files:
the CII, its validation by the official rules, and the Factur-X PDF, of as many of those invoices as said.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from pydantic import SecretStr

from controlplane.einvoicing.cii import write_cii
from controlplane.einvoicing.documents import make_documents
from controlplane.einvoicing.validation import validate_cii
from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import Invoice
from controlplane.kernel.ids import ProjectId, ServiceId, TenantId
from controlplane.kernel.period import Period
from controlplane.ledger import service as ledger
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.simulated_clock import move_clock
from controlplane.rating import service as rating
from controlplane.rating import service_prices as prices
from controlplane.rating.domain import STANDARD_BOOK, Sku
from controlplane.rating.price_rules import make_per_unit
from tests.bench.bench_metering import Server, postgres, postgres_cpu_seconds
from tests.bench.common import quantiles
from tests.fixtures.database import TEST_PEPPER

MODELS = 6
LINES = 2 * MODELS
ACTOR = "bench"
TENANT = (
    "INSERT INTO tenant (tenant_id, name, status, legal_name, country, siren, vat_id, address_line1, address_line2,"
    " postal_code, city, address_country, version, created_at, updated_at) VALUES (%s, %s, 'ACTIVE', 'Bench SAS', 'FR',"
    " '732829320', 'FR44732829320', '1 rue du Test', '', '91120', 'Palaiseau', 'FR', 1, now(), now())"
)
USAGE = (
    "INSERT INTO usage_hourly (tenant_id, hour, meter, service_id, project_id, model, sku, datacenter, country,"
    " is_simulated, generation, quantity, event_count, unknown_count)"
    " VALUES (%s, %s, %s, %s, %s, %s, '', 'essonne-1', 'FR', false, 0, %s, 100, 0)"
)


def sell(database: Database) -> None:
    """A seller, and a price for both kinds of tokens of each model."""
    with database.system() as uow:
        rating.seed(uow)
        invoicing.ensure_seller(uow)
        next_hour = uow.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        for number in range(MODELS):
            for kind in ("input", "output"):
                code = f"tokens.{kind}.m{number}"
                matches = {"model": f"m{number}"}
                prices.create_sku(uow, Sku(code, code, code, f"{kind}_tokens", "token", matches), actor=ACTOR)
                prices.create_version(
                    uow,
                    book=STANDARD_BOOK,
                    sku=code,
                    price=make_per_unit(Decimal("0.31") + number, Decimal(1_000_000)),
                    valid_from=next_hour,
                    valid_to=None,
                    actor=ACTOR,
                )


def use(server: Server, count: int, hour: datetime) -> list[TenantId]:
    tenants = [TenantId.new() for _ in range(count)]
    service_id = str(ServiceId.new())
    with psycopg.connect(server.urls.owner) as owner, owner.cursor() as cursor:
        cursor.executemany(TENANT, [(each.value, f"bench-{at}") for at, each in enumerate(tenants)])
        rows = [
            (
                each.value,
                hour,
                f"{kind}_tokens",
                service_id,
                ProjectId.new().value,
                f"m{number}",
                1_234_567 + at,
            )
            for at, each in enumerate(tenants)
            for number in range(MODELS)
            for kind in ("input", "output")
        ]
        cursor.executemany(USAGE, rows)
    return tenants


def close(database: Database, tenant_id: TenantId, month: Period) -> Invoice:
    """As the close of a month does it: two transactions."""
    with database.system(tenant_id) as uow:
        invoicing.freeze_period(uow, tenant_id, month)
    with database.system(tenant_id) as uow:
        invoice = invoicing.close_period(uow, tenant_id, month, is_issuing=True).invoice
    assert invoice is not None
    assert invoice.number is not None, invoice.hold
    assert len(invoice.lines) == LINES
    return invoice


def make_files(invoices: list[Invoice]) -> dict[str, Any]:
    """CPU of this process and its children (one core); the first file, which loads fonts and rules, is not counted."""
    make_documents(invoices[0])
    began = time.perf_counter()
    xml = [write_cii(invoice) for invoice in invoices]
    xml_seconds = time.perf_counter() - began
    began = time.perf_counter()
    assert all(validate_cii(each).is_valid for each in xml)
    validation_seconds = time.perf_counter() - began
    began, sizes = time.perf_counter(), []
    cpu_began = sum(os.times()[:4])
    for invoice in invoices:
        sizes.append(len(make_documents(invoice).pdf))
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - cpu_began
    return {
        "files": len(invoices),
        "xml_per_second": round(len(invoices) / xml_seconds, 1),
        "validations_per_second": round(len(invoices) / validation_seconds, 1),
        "xml_validated_and_pdf_per_second": round(len(invoices) / seconds, 2),
        "cpu_ms_each": round(cpu / len(invoices) * 1000, 1),
        "per_cpu_second": round(len(invoices) / cpu, 2),
        "pdf_kib": round(sum(sizes) / len(sizes) / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1_000)
    parser.add_argument("--files", type=int, default=100)
    arguments = parser.parse_args()
    with postgres() as server:
        settings = Settings(
            environment="local",
            app_database_url=SecretStr(server.urls.app),
            system_database_url=SecretStr(server.urls.system),
            key_pepper=SecretStr(TEST_PEPPER),
        )
        database = Database(settings)
        sell(database)
        # The prices are in force from the next hour on; next month's usage is closed after its end.
        month = Period.month_of(Period.month_of(datetime.now(UTC)).end)
        tenants = use(server, arguments.tenants, month.start + timedelta(days=3))
        with database.system() as uow:
            move_clock(uow, settings, int((month.end - datetime.now(UTC)).total_seconds()) + 9 * 3_600)
        durations, invoices = [], []
        own, theirs, began = time.process_time(), postgres_cpu_seconds(server.pid), time.perf_counter()
        for tenant_id in tenants:
            started = time.perf_counter()
            invoices.append(close(database, tenant_id, month))
            durations.append((time.perf_counter() - started) * 1000)
        seconds = time.perf_counter() - began
        own, theirs = time.process_time() - own, postgres_cpu_seconds(server.pid) - theirs
        numbers = sorted(int(str(invoice.number)[-6:]) for invoice in invoices)
        assert numbers == list(range(1, len(invoices) + 1)), "the numbers have a gap"
        with database.system(is_read_only=True) as uow:
            assert sum(balance.minor for balance in ledger.list_balances(uow)) == 0
        document = {
            "tenants": len(tenants),
            "lines_each": LINES,
            "seconds": round(seconds, 1),
            "invoices_per_second": round(len(tenants) / seconds, 1),
            "close_ms": quantiles(durations),
            "own_cpu_ms_each": round(own / len(tenants) * 1000, 1),
            "postgres_cpu_ms_each": round(theirs / len(tenants) * 1000, 1),
            "files": make_files(invoices[: arguments.files]),
        }
        database.dispose()
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
