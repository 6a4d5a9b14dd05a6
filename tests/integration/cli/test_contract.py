"""Every command × the document that it prints, on a real server over a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from controlplane.capacity.service import observe_node_claim
from controlplane.einvoicing.tasks import render_invoice
from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.plumbing.settings import Settings
from tests.fixtures.billing import TOKENS, Billing, make_billing
from tests.fixtures.tenants import signup_body
from tests.integration.cli.shell import Shell
from tests.integration.deployments.fleet import MODEL, Fleet
from tests.unit.cli.commands import PRINTS, walk

COMMANDS = [command.name for command in walk()]


class TestAnswers:
    def test_every_command_answers_with_its_document(
        self, fleet: Fleet, settings: Settings, owner: Shell, operator: Shell, tmp_path: Path
    ) -> None:
        operator.answered = owner.answered
        _account(owner)
        _projects_and_apps(owner)
        _secrets_and_keys(owner)
        _services(fleet, owner)
        for what in ("models", "instance-types", "datacenters"):
            assert owner.ask("catalog", what)
        assert owner.ask("catalog", "model", MODEL)["name"] == MODEL
        assert owner.ask("prices")["currency"] == "EUR"
        _audit(owner, ("audit",), tmp_path / "own.jsonl")
        _law_and_sites(fleet, operator)
        _organizations(operator)
        _approval(fleet, settings, owner, operator)
        _money(fleet, make_billing(fleet.api, fleet.database, settings), owner, operator, tmp_path)
        _audit(operator, ("admin", "audit"), tmp_path / "platform.jsonl")
        assert operator.ask("admin", "invoices", "files") == []
        assert owner.ask("security-events", "list", "--kind", "forbidden") == []
        assert operator.ask("admin", "security-events", "list", "--address", "203.0.113.7") == []
        assert operator.ask("admin", "deliveries", "list") == []
        assert operator.ask("admin", "deliveries", "retry")["retried"] == 0
        assert owner.answered == set(COMMANDS)

    def test_the_other_formats_print_the_same_thing(self, owner: Shell) -> None:
        app = owner.ask("apps", "create", "chat")
        assert owner.run("apps", "list", "-o", "name").out == f"{app['id']}\n"
        assert f"id: {app['id']}" in owner.run("apps", "get", "chat", "-o", "yaml").out
        table = owner.run("apps", "list")
        assert table.out.splitlines()[0].split() == ["NAME", "ID", "PROJECT", "CREATED"]
        assert app["id"] in table.out
        assert "\x1b" not in table.out


def _account(owner: Shell) -> None:
    whoami = owner.ask("whoami")
    assert whoami["role"] == "owner"
    fresh = Shell(owner.capture, owner.home, owner.url, answered=owner.answered)
    logged_in = fresh.run("login", "-o", "json", stdin=owner.key + "\n")
    assert logged_in.code == 0
    assert owner.key not in logged_in.out + logged_in.err
    fresh.ask("login", stdin=owner.key)
    stored = owner.home / "rempart" / "config.json"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert Shell(owner.capture, owner.home, "").ask("whoami")["key_id"] == whoami["key_id"]
    assert fresh.ask("context", "list") == [{"name": "default", "api": owner.url, "is_current": True}]
    assert fresh.ask("context", "use", "default")["is_current"] is True
    assert owner.ask("organization", "get")["id"] == whoami["organization_id"]
    assert owner.ask("organization", "update", "--city", "Orsay")["address"]["city"] == "Orsay"
    assert {quota["name"] for quota in owner.ask("quotas")} >= {"projects", "services", "gpus"}
    assert fresh.ask("logout") == {"is_removed": True}
    assert not stored.exists()
    assert fresh.run("login", "-o", "json", stdin=owner.key[:-1] + "!").error["code"] == "wrong_use"
    address = ("--street", "1 rue du Test", "--postal-code", "91120", "--city", "Palaiseau")
    body = (
        "newcomer",
        "--legal-name",
        "Newcomer SAS",
        *address,
        "--siren",
        "732829320",
        "--vat-id",
        "FR44732829320",
    )
    version = fresh.ask("terms")["version"]
    assert fresh.run("signup", *body, "-o", "json").error["fields"][0]["field"] == "accepted_terms"
    made = fresh.ask("signup", *body, "--accept-terms", version)
    assert fresh.ask("secrets-check", made["api_key"]["secret"])["is_well_formed"]
    wrong = fresh.run("secrets-check", "-o", "json", stdin=made["api_key"]["secret"][:-1] + "_")
    assert (wrong.code, json.loads(wrong.out)["is_well_formed"]) == (1, False)


def _projects_and_apps(owner: Shell) -> None:
    project = owner.ask("projects", "create", "side", "--description", "tries")
    assert owner.ask("projects", "get", "side") == project
    assert {item["name"] for item in owner.ask("projects", "list")} == {"default", "side"}
    app = owner.ask("apps", "create", "one", "--project", "side")
    assert app["project_id"] == project["id"]
    assert owner.ask("apps", "rename", "one", "two")["version"] == app["version"] + 1
    assert owner.ask("apps", "get", "two")["id"] == app["id"]
    assert [item["name"] for item in owner.ask("apps", "list")] == ["two"]
    assert owner.ask("apps", "delete", "two") == {"id": app["id"], "is_deleted": True}
    assert owner.ask("projects", "delete", "side")["is_deleted"]
    assert owner.ask("apps", "list") == []


def _secrets_and_keys(owner: Shell) -> None:
    made = owner.run("secrets", "create", "token", stdin="very-hidden\n")
    assert made.code == 0
    owner.ask("secrets", "create", "other", "--value", "very-hidden")
    assert owner.ask("secrets", "update", "token", stdin="changed-hidden")["version"] == 2
    shown = owner.run("secrets", "get", "token")
    assert "hidden" not in made.out + made.err + shown.out
    owner.ask("secrets", "get", "token")
    assert {item["name"] for item in owner.ask("secrets", "list")} == {"token", "other"}
    owner.ask("secrets", "delete", "other")
    key = owner.ask("keys", "create", "ci", "--role", "viewer", "--expires-in-days", "3")
    assert owner.ask("keys", "get", key["id"])["last_four"] == key["secret"][-4:]
    rolled = owner.ask("keys", "roll", key["id"], "--overlap-hours", "0")
    assert rolled["api_key"]["secret"] != key["secret"]
    assert owner.ask("keys", "revoke", rolled["api_key"]["id"])["state"] == "REVOKED"
    assert key["id"] in {item["id"] for item in owner.ask("keys", "list")}


def _services(fleet: Fleet, owner: Shell) -> None:
    service = owner.ask("services", "deploy", "chat", "--model", MODEL, "--country", "FR", "--max", "2")
    fleet.run()
    [part] = fleet.parts(service)
    now = datetime.now(UTC).isoformat()
    replica = {"name": "chat-0-a", "uid": "u-1", "replicaIndex": 0, "phase": "HEALTHY", "createdAt": now}
    fleet.apply(part)
    fleet.report(part, "HEALTHY", readyReplicas=1, instances=[replica])
    fleet.run()
    assert owner.ask("services", "get", "chat")["status"] == "HEALTHY"
    assert [item["name"] for item in owner.ask("services", "list", "--app", "default")] == ["chat"]
    explained = owner.ask("services", "explain", "chat")
    assert explained["is_placed"]
    english, french = (owner.run("services", "explain", "chat", "--lang", lang).out for lang in ("en", "fr"))
    assert english.startswith(explained["explanation"]["summary"]["en"])
    assert french.startswith(explained["explanation"]["summary"]["fr"])
    assert ("chosen" in english, "retenu" in french) == (True, True)
    assert owner.ask("services", "cold-starts", "chat") is not None
    assert owner.ask("events", "chat")
    [instance] = owner.ask("instances", "list", "--service", "chat")
    assert owner.ask("instances", "get", instance["id"])["name"] == "chat-0-a"
    [deployment] = owner.ask("deployments", "list", "chat")
    assert owner.ask("deployments", "get", deployment["id"])["definition"]["sovereignty"]["countries"] == [
        "FR"
    ]
    assert owner.ask("deployments", "regions", "chat")[0]["datacenter"] == "essonne-1"
    assert owner.ask("services", "scale", "chat", "--min", "1", "--max", "2")["scale"] == {"min": 1, "max": 2}
    second = owner.ask("services", "redeploy", "chat")["latest_deployment_id"]
    fleet.run()
    assert owner.ask("services", "rollback", "chat")["latest_deployment_id"] != second
    fleet.run()
    third = owner.ask("services", "redeploy", "chat")["latest_deployment_id"]
    owner.ask("deployments", "cancel", third)
    fleet.run()
    owner.ask("services", "pause", "chat")
    fleet.run()
    for each in fleet.parts(service):
        if each["terminated_at"] is None:
            fleet.end(each)
    fleet.run()
    owner.ask("services", "resume", "chat")
    # A service that no cell holds has no replica that could have written anything.
    quiet = owner.ask("services", "deploy", "quiet", "--model", MODEL)
    assert owner.ask("logs", "quiet") == []
    assert owner.ask("services", "delete", quiet["id"])["status"] in {"DELETING", "DELETED"}


def _audit(shell: Shell, command: tuple[str, ...], file: Path) -> None:
    assert shell.ask(*command, "list")
    exported = shell.ask(*command, "export", str(file))
    assert exported["records"] == len(file.read_text().splitlines()) - 1 > 0
    assert shell.ask(*command, "verify")["is_intact"]


def _law_and_sites(fleet: Fleet, operator: Shell) -> None:
    def entity(name: str, *options: str) -> str:
        return str(operator.ask("admin", "entities", "add", name, "--evidence", "register", *options)["id"])

    places = ["--seat", "SE", "--central-administration", "SE", "--principal-establishment", "SE"]
    company, family = (
        entity("Borlange AB", *places),
        entity("Family", "--kind", "natural_persons", "--seat", "SE"),
    )
    assert operator.ask("admin", "entities", "get", family)["kind"] == "natural_persons"
    stake = operator.ask(
        "admin", "holdings", "add", family, company, "--capital-bp", "10000", "--evidence", "register"
    )
    assert operator.ask("admin", "holdings", "get", stake["id"])["capital_bp"] == 10_000
    site = (
        "--country",
        "SE",
        "--power-kw",
        "900",
        "--rack-kw-max",
        "40",
        "--pue-milli",
        "1150",
        "--cell",
        "borlange-a",
    )
    whose = ("--operator", company, "--owner", company)
    operator.ask("admin", "datacenters", "add", "borlange", "--name", "Hall", *site, *whose)
    assert (
        operator.ask("admin", "datacenters", "update", "borlange", "--pue-milli", "1140")["pue_milli"] == 1140
    )
    assert operator.run("admin", "datacenters", "update", "borlange").code == 2
    operator.ask("admin", "datacenters", "get", "borlange")
    days = ("--issued-on", "2026-01-01", "--expires-on", "2027-01-01")
    terms = ("--framework-version", "2.0", *days, "--site", "borlange", "--evidence", "pdf")
    paper = operator.ask("admin", "certifications", "add", "HDS", *terms)
    assert operator.ask("admin", "certifications", "get", paper["id"])["site_code"] == "borlange"
    pool = (
        "--datacenter",
        "borlange",
        "--cell",
        "borlange-a",
        "--provider",
        "kwok",
        "--instance-type",
        "b300-8x",
    )
    size = (
        "--cpu-milli",
        "64000",
        "--memory-mib",
        "65536",
        "--watts-per-node",
        "1000",
        "--gpu-sku",
        "nvidia-b300",
    )
    operator.ask("admin", "pools", "add", "gpus", *pool, *size, "--replicas", "1")
    assert operator.ask("admin", "pools", "scale", "gpus", "2")["replicas"] == 2
    assert operator.ask("admin", "pools", "pause", "gpus")["paused"] is True
    assert operator.ask("admin", "pools", "resume", "gpus")["paused"] is False
    marks = ("--label", "example.org/hall=h1", "--taint", "example.org/own=yes:NoSchedule")
    marked = operator.ask("admin", "pools", "update", "gpus", *marks)
    assert marked["node_labels"] == {"example.org/hall": "h1"}
    assert marked["node_taints"] == [{"key": "example.org/own", "value": "yes", "effect": "NoSchedule"}]
    assert operator.run("admin", "pools", "update", "gpus").code == 2
    assert operator.run("admin", "pools", "update", "gpus", "--label", "x").code == 2
    assert operator.ask("admin", "pools", "get", "gpus")["accelerator"] == {"sku": "nvidia-b300", "count": 8}
    for noun in ("entities", "holdings", "certifications", "datacenters", "pools"):
        assert operator.ask("admin", noun, "list"), noun
    assert operator.ask("admin", "nodes", "list", "--pool", "gpus") == []
    _nodes(fleet, operator)
    operator.ask("admin", "pools", "delete", "gpus")
    assert operator.run("admin", "datacenters", "close", "borlange").code != 0
    elsewhere = ("--name", "Hall 2", *site[:-1], "lulea-a", *whose)
    operator.ask("admin", "datacenters", "add", "lulea", *elsewhere)
    assert operator.ask("admin", "datacenters", "close", "lulea")["closed_at"]
    for noun, fact in (("certifications", paper["id"]), ("holdings", stake["id"]), ("entities", family)):
        assert operator.ask("admin", noun, "end", fact)["valid_to"] is not None
    assert operator.ask("admin", "clock", "move", "60")["is_simulated"]
    assert operator.ask("admin", "clock", "show")["offset_seconds"] == 60
    operator.ask("admin", "clock", "move", "0")


def _nodes(fleet: Fleet, operator: Shell) -> None:
    for verb in ("get", "cordon", "uncordon", "drain", "replace"):
        unknown = operator.run("admin", "nodes", verb, "gpus-0", "-o", "json")
        assert unknown.error["message"] == "There is no machine 'gpus-0'.", verb
    spec = {
        "poolRef": "gpus", "ordinal": 0, "datacenter": "borlange", "cell": "borlange-a", "provider": {"kind": "kwok"},
        "instanceType": "b300-8x", "cpuMilli": 64000, "memoryMiB": 65536,
    }  # fmt: skip
    claim = {"kind": "NodeClaim", "metadata": {"name": "gpus-0", "uid": "first"}, "spec": spec}
    with fleet.database.system() as uow:
        observe_node_claim(uow, {"apiVersion": "rempart.eu/v1alpha1", **claim})
    assert operator.ask("admin", "nodes", "get", "gpus-0")["order"] is None
    for verb in ("cordon", "uncordon", "drain", "replace"):
        assert operator.ask("admin", "nodes", verb, "gpus-0")["order"] == verb


def _money(fleet: Fleet, billing: Billing, owner: Shell, operator: Shell, folder: Path) -> None:
    tenant_id = TenantId.parse(fleet.caller.organization_id)
    billing.projects[tenant_id] = fleet.caller.project_id
    billing.use(tenant_id)
    [output] = owner.ask("usage", "--meter", "output_tokens", "--group-by", "project", "--project", "default")
    assert (output["quantity"], output["project_id"]) == (str(3 * TOKENS // 10), fleet.caller.project_id)
    cost = owner.ask("costs", "show", "--group-by", "project")
    assert Decimal(cost["net"]) > 0
    wish = ("--usage", "input_tokens=1000000", "--dimension", "model=smollm2-135m")
    assert owner.ask("costs", "preview", *wish)["rating_hash"] != cost["rating_hash"]
    assert owner.run("costs", "preview", "--usage", "input_tokens").code == 2
    assert cost["net"] in owner.run("costs", "show").out
    assert owner.run("budgets", "get").code == 4
    assert owner.ask("budgets", "set", "250")["amount"] == "250.00"
    assert owner.ask("budgets", "set", "99.50", "--soft")["version"] == 2
    assert owner.ask("budgets", "get")["is_hard"] is False
    assert [each["amount"] for each in owner.ask("budgets", "list")] == ["99.50"]
    assert owner.run("budgets", "set", "9.999").code == 2
    billing.end_month()
    month = f"{billing.month.start.astimezone(PARIS):%Y-%m}"
    close = ("admin", "invoices", "close", str(tenant_id), month)
    draft = operator.ask(*close, "--draft")["invoice"]
    assert operator.ask("admin", "invoices", "hold", draft["id"], "--reason", "Wait.")["state"] == "HELD"
    assert operator.ask("admin", "invoices", "retry", draft["id"])["state"] == "READY"
    issued = operator.ask("admin", "invoices", "issue", draft["id"])
    assert operator.ask(*close)["is_new"] is False
    assert issued["number"] is not None
    render_invoice(fleet.database, tenant_id, InvoiceId.parse(issued["id"]))
    assert [each["net"] for each in owner.ask("invoices", "list")] == [issued["net"]]
    assert owner.ask("invoices", "get", issued["id"])["number"] == issued["number"]
    for kind, start in (("pdf", b"%PDF-"), ("xml", b"<?xml")):
        file = folder / f"invoice.{kind}"
        owner.ask("invoices", "download", issued["id"], str(file), "--format", kind)
        assert file.read_bytes().startswith(start)
    assert owner.ask("invoices", "status", issued["id"])["profile"] != ""
    operator.ask("admin", "invoices", "download", issued["id"], str(folder / "again.pdf"))
    assert (folder / "again.pdf").read_bytes() == (folder / "invoice.pdf").read_bytes()
    why = ("--reason", "Service interrompu")
    note = operator.ask("admin", "invoices", "credit-note", issued["id"], "--line", "1=0.10", *why)
    assert note["corrects"] == issued["number"]
    assert operator.ask("admin", "invoices", "get", note["id"])["kind"] == "381"
    listed = operator.ask("admin", "invoices", "list", "--organization", str(tenant_id))
    assert {each["number"] for each in listed} == {issued["number"], note["number"]}
    books = folder / "fec.txt"
    operator.ask("admin", "fec", "download", issued["issued_on"][:4], str(books))
    assert issued["number"].encode() in books.read_bytes()
    _payments(owner, operator, issued)
    _books(operator, issued, folder)
    _prices(owner, operator, str(tenant_id))
    operator.ask("admin", "clock", "move", "0")


def _payments(owner: Shell, operator: Shell, issued: dict[str, Any]) -> None:
    whose, payments = issued["organization_id"], ("admin", "payments")
    paid = ("record", whose, "3.00", issued["issued_on"], "--reference", "statement/7")
    assert operator.ask(*payments, *paid)["settles"][0]["invoice_id"] == issued["id"]
    assert operator.ask(*payments, *paid)["is_new"] is False
    assert operator.ask(*payments, "match", whose) == []
    balance = operator.ask(*payments, "balances", whose)[0]
    assert (balance["paid"], balance["state"]) == ("3.00", "PARTIAL")
    assert owner.ask("payments", "balances")[0] == balance
    assert owner.ask("payments", "list") == operator.ask(*payments, "list", "--organization", whose)
    too_much = f"{Decimal(balance['open']) + Decimal('1.20')}"
    operator.ask(*payments, "record", whose, too_much, issued["issued_on"], "--reference", "statement/8")
    back = ("refund", whose, "1.20", issued["issued_on"], "--reference", "statement/9")
    [refund] = operator.ask(*payments, *back)
    assert (refund["amount"], refund["bank_reference"]) == ("1.20", "statement/9")
    assert operator.ask(*payments, *back) == [refund]
    assert operator.run(*payments, *back[:2], "0.01", *back[3:5], "statement/10").code == 1
    deposit = operator.ask("admin", "invoices", "deposit", whose, "100", "--label", "Crédit")
    assert (deposit["kind"], deposit["net"], deposit["state"]) == ("386", "100.00", "ISSUED")
    assert operator.ask("admin", "vat-checks", "record", whose, "FR44732829320", "UNREACHABLE")["status"]


def _books(operator: Shell, issued: dict[str, Any], folder: Path) -> None:
    year = issued["issued_on"][:4]
    accounts = operator.ask("admin", "ledger", "balances")
    assert sum(Decimal(account["balance"]) for account in accounts) == 0
    entries = operator.ask("admin", "ledger", "entries", "--year", year, "--journal", "VE")
    assert issued["number"] in {entry["piece_ref"] for entry in entries}
    seller = operator.ask("admin", "seller", "get")
    file = folder / "seller.json"
    file.write_text(json.dumps({**seller, "contact_email": "comptes@example.com"}))
    assert operator.ask("admin", "seller", "set", str(file))["contact_email"] == "comptes@example.com"
    entity = operator.ask("admin", "ledger", "entity")
    assert operator.ask("admin", "ledger", "set-entity", entity["siren"], entity["legal_name"])["version"] > 1
    assert operator.ask("admin", "ledger", "close-year", str(int(year) - 1))["year"] == int(year) - 1


def _prices(owner: Shell, operator: Shell, whose: str) -> None:
    later = f"{datetime.now(UTC) + timedelta(days=300):%Y-%m-%dT%H}:00:00Z"
    words = ("--fr", "Images", "--en", "Images")
    sku = operator.ask(
        "admin", "skus", "add", "images", *words, "--unit", "one", "--meter", "requests", "--match", "model=x"
    )
    assert sku["matches"] == {"model": "x"}
    price = ("admin", "prices", "add", "images", "--base", "1000", "--from", later)
    assert operator.ask(*price, "--tier", "500=0.20", "--tier", "rest=0.10")["model"] == "GRADUATED"
    assert operator.run(*price, "--tier", "=1").code == 2
    assert operator.run(*price, "--tier", "x").code == 1
    assert "images" in {each["sku"] for each in operator.ask("admin", "prices", "list")}
    assert "images" in {each["code"] for each in operator.ask("admin", "skus", "list")}
    plan = operator.ask("admin", "plans", "add", "acme", *words, "--discount", "5", "--minimum", "10.50")
    assert plan["minimum"] == "10.50"
    assert plan in operator.ask("admin", "plans", "list")
    assert operator.ask("admin", "plans", "set", whose, "acme", "--from", later)["valid_from"] == later
    assert operator.ask("admin", "plans", "get", whose) == owner.ask("costs", "plan")
    grant = operator.ask(
        "admin", "credits", "grant", whose, "50", "--label", "Bienvenue", "--expires-at", later
    )
    assert (grant["kind"], grant["left"]) == ("PROMOTIONAL", "50.00")
    assert operator.ask("admin", "credits", "list", whose) == owner.ask("costs", "credits") == [grant]
    operator.ask("admin", "usage", "show", whose)
    assert operator.ask("admin", "usage", "conflicts") == []


def _approval(fleet: Fleet, settings: Settings, owner: Shell, operator: Shell) -> None:
    """As an installation is where an operator confirms who signs up."""
    app = fleet.api.app
    assert isinstance(app, FastAPI)
    app.state.settings = settings.model_copy(update={"is_approval_needed": True})
    made = [fleet.api.post("/v1/signup", json=signup_body(name)).json() for name in ("twin-one", "twin-two")]
    app.state.settings = settings
    first, second = (each["organization"]["id"] for each in made)
    names = ("admin", "organizations")
    waiting = operator.ask(*names, "list", "--status", "PENDING")
    assert {each["id"] for each in waiting} == {first, second}
    assert second in {each["id"] for each in operator.ask(*names, "alike", first)}
    assert operator.run(*names, "approve", first, "--version", "2", "-o", "json").error["code"] == "conflict"
    assert operator.ask(*names, "approve", first)["status"] == "ACTIVE"
    refused = operator.ask(*names, "refuse", second, "--reason", "Is another's company.")
    assert (refused["status"], refused["suspension_reason"]) == ("REFUSED", "Is another's company.")
    assert owner.run("admin", "organizations", "approve", first).code != 0


def _organizations(operator: Shell) -> None:
    who = next(item for item in operator.ask("admin", "organizations", "list") if item["name"] == "newcomer")
    names = ("admin", "organizations")
    made = operator.ask(
        *names, "create", "invited", "--legal-name", "Invited GmbH", "--street", "Hauptstrasse 1",
        "--postal-code", "10115", "--city", "Berlin", "--country", "de", "--vat-id", "DE136695976",
    )  # fmt: skip
    assert made["organization"]["country"] == "DE"
    assert operator.ask(*names, "suspend", who["id"], "--reason", "Unpaid.")["status"] == "SUSPENDED"
    assert operator.ask(*names, "get", who["id"])["suspension_reason"] == "Unpaid."
    assert operator.ask(*names, "resume", who["id"])["status"] == "ACTIVE"
    zone = (*names, "approve-tax-zone", who["id"], "--reason", "Register extract.")
    assert operator.ask(*zone)["id"] == who["id"]
    first = operator.ask(*names, "quotas", who["id"])[0]["name"]
    assert operator.ask(*names, "set-quota", who["id"], first, "3")["limit"] == 3
    assert operator.ask(*names, "recover", who["id"], "--reason", "Asked in writing.")["role"] == "owner"
    keys = ("admin", "keys")
    made = operator.ask(*keys, "create", "gateway", "--role", "producer", "--source", "/gateways/a")
    assert operator.ask(*keys, "get", made["id"])["source"] == "/gateways/a"
    rolled = operator.ask(*keys, "roll", made["id"], "--overlap-hours", "1")["api_key"]
    assert operator.ask(*keys, "revoke", rolled["id"])["state"] == "REVOKED"
    assert made["id"] in {key["id"] for key in operator.ask(*keys, "list")}


def test_each_command_says_what_it_prints() -> None:
    assert set(PRINTS) == set(COMMANDS)
