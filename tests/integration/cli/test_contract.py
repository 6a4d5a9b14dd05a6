"""Every command × the document that it prints × its exit code, on a real server over a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.einvoicing.tasks import render_invoice
from controlplane.identity import key_rules
from controlplane.identity.domain import KeyKind
from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.plumbing.settings import Settings
from tests.fixtures.billing import TOKENS, Billing, make_billing
from tests.fixtures.database import free_port
from tests.integration.cli.shell import Shell
from tests.integration.deployments.fleet import MODEL, Fleet
from tests.unit.cli.commands import PRINTS, walk

COMMANDS = [command.name for command in walk()]
# Commands that need no key, and those that ask no server either.
KEYLESS = {"login", "logout", "signup", "secrets-check"}
OFFLINE = {"logout", "secrets-check"}
WHOLE_KEY = key_rules.build_key(KeyKind.SVC, "local", bytes(range(key_rules.RANDOM_BYTES)))
NOBODY = "0" * 26
SITE = "--country FR --power-kw 100 --rack-kw-max 10 --pue-milli 1100 --cell c"
POOL = "--datacenter d --cell c --provider kwok --instance-type t --cpu-milli 1000 --memory-mib 1024"
DAYS = "--issued-on 2026-01-01 --expires-on 2027-01-01"
COMPANY = "--legal-name x --street x --postal-code 1 --city x"
# A seller is read from a file; any mapping gets as far as the server.
SOME_YAML = Path(__file__).parents[3] / "helm" / "gateway" / "Chart.yaml"

# Words after each command that make it well-formed; what they name exists nowhere.
ARGUMENTS = {
    "signup": f"nobody {COMPANY}",
    "secrets-check": WHOLE_KEY,
    "logs": f"svc_{NOBODY}",
    "events": f"svc_{NOBODY}",
    "projects get": f"prj_{NOBODY}",
    "projects create": "new",
    "projects delete": f"prj_{NOBODY}",
    "apps get": f"app_{NOBODY}",
    "apps create": "new",
    "apps rename": f"app_{NOBODY} new",
    "apps delete": f"app_{NOBODY}",
    "services get": f"svc_{NOBODY}",
    "services deploy": f"new --model {MODEL}",
    "services pause": f"svc_{NOBODY}",
    "services resume": f"svc_{NOBODY}",
    "services redeploy": f"svc_{NOBODY}",
    "services scale": f"svc_{NOBODY} --min 0 --max 1",
    "services delete": f"svc_{NOBODY}",
    "services explain": f"svc_{NOBODY}",
    "services cold-starts": f"svc_{NOBODY}",
    "deployments list": "nothing-of-this-name",
    "deployments get": f"dep_{NOBODY}",
    "deployments cancel": f"dep_{NOBODY}",
    "deployments regions": "nothing-of-this-name",
    "instances get": f"ins_{NOBODY}",
    "secrets get": f"sec_{NOBODY}",
    "secrets create": "new --value x",
    "secrets update": f"sec_{NOBODY} --value x",
    "secrets delete": f"sec_{NOBODY}",
    "keys get": f"key_{NOBODY}",
    "keys create": "new",
    "keys roll": f"key_{NOBODY}",
    "keys revoke": f"key_{NOBODY}",
    "catalog model": "nothing-of-this-name",
    "costs preview": "--usage input_tokens=1000",
    "budgets get": f"--project prj_{NOBODY}",
    "budgets set": f"10 --project prj_{NOBODY}",
    "invoices get": f"inv_{NOBODY}",
    "invoices download": f"inv_{NOBODY} invoice.pdf",
    "invoices status": f"inv_{NOBODY}",
    "audit export": "audit.jsonl",
    "admin organizations get": f"org_{NOBODY}",
    "admin organizations suspend": f"org_{NOBODY} --reason x",
    "admin organizations resume": f"org_{NOBODY}",
    "admin organizations quotas": f"org_{NOBODY}",
    "admin organizations set-quota": f"org_{NOBODY} gpus 1",
    "admin datacenters get": "nowhere",
    "admin datacenters add": f"new --name x {SITE} --operator ent_x --owner ent_x",
    "admin datacenters update": "nowhere --pue-milli 1100",
    "admin pools get": "nothing",
    "admin pools add": f"new {POOL} --watts-per-node 100 --replicas 1",
    "admin pools scale": "nothing 1",
    "admin pools delete": "nothing",
    "admin entities get": f"ent_{NOBODY}",
    "admin entities add": "new --evidence x",
    "admin entities end": f"ent_{NOBODY}",
    "admin holdings get": f"hld_{NOBODY}",
    "admin holdings add": f"ent_{NOBODY} ent_{NOBODY} --evidence x",
    "admin holdings end": f"hld_{NOBODY}",
    "admin certifications get": f"crt_{NOBODY}",
    "admin certifications add": f"HDS --framework-version 2 {DAYS} --evidence x --entity ent_{NOBODY}",
    "admin certifications end": f"crt_{NOBODY}",
    "admin invoices get": f"inv_{NOBODY}",
    "admin invoices close": f"org_{NOBODY} 2026-01",
    "admin invoices issue": f"inv_{NOBODY}",
    "admin invoices credit-note": f"inv_{NOBODY} --reason x",
    "admin invoices retry": f"inv_{NOBODY}",
    "admin invoices hold": f"inv_{NOBODY} --reason x",
    "admin invoices deposit": f"org_{NOBODY} 10.00 --label x",
    "admin invoices download": f"inv_{NOBODY} invoice.pdf",
    "admin seller set": f"{SOME_YAML}",
    "admin vat-checks record": f"org_{NOBODY} DE123456788 VALID",
    "admin payments record": f"org_{NOBODY} 1.00 2026-01-02 --reference x",
    "admin payments match": f"org_{NOBODY}",
    "admin payments balances": f"org_{NOBODY}",
    "admin ledger set-entity": "732829320 x",
    "admin ledger close-year": "2020",
    "admin fec download": "2026 fec.txt",
    "admin skus add": "new --fr x --en x --unit one",
    "admin prices add": "nothing --tier 1 --from 2099-01-01T00:00:00Z",
    "admin plans add": "new --fr x --en x",
    "admin plans get": f"org_{NOBODY}",
    "admin plans set": f"org_{NOBODY} payg",
    "admin credits list": f"org_{NOBODY}",
    "admin credits grant": f"org_{NOBODY} 10 --label x --expires-at 2099-01-01T00:00:00Z",
    "admin usage show": f"org_{NOBODY}",
    "admin clock move": "0",
    "admin audit export": "audit.jsonl",
}  # fmt: skip
# Those of them whose words name something that does not exist.
SEEKING = sorted(
    name for name, text in ARGUMENTS.items() if any(word in text for word in (NOBODY, "nothing", "nowhere"))
)
# What they name is part of a fact that is refused as a whole.
STATING = {"admin holdings add", "admin certifications add"}


def words(name: str) -> list[str]:
    return [*name.split(), *ARGUMENTS.get(name, "").split(), "-o", "json"]


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
        _audit(owner, ("audit",), tmp_path / "own.jsonl")
        _law_and_sites(operator)
        _organizations(operator)
        _money(fleet, make_billing(fleet.api, fleet.database, settings), owner, operator, tmp_path)
        _audit(operator, ("admin", "audit"), tmp_path / "platform.jsonl")
        assert owner.answered == set(COMMANDS)

    def test_the_other_formats_print_the_same_thing(self, owner: Shell) -> None:
        app = owner.ask("apps", "create", "chat")
        assert owner.run("apps", "list", "-o", "name").out == f"{app['id']}\n"
        assert f"id: {app['id']}" in owner.run("apps", "get", "chat", "-o", "yaml").out
        table = owner.run("apps", "list")
        assert table.out.splitlines()[0].split() == ["NAME", "ID", "PROJECT", "CREATED"]
        assert app["id"] in table.out
        assert "\x1b" not in table.out


class TestExitCodes:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_wrong_use_is_2(self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        done = Shell(capsys, tmp_path, "").run(*name.split(), "--no-such-option", "-o", "json")
        assert (done.code, done.out, done.error["code"]) == (2, "", "wrong_use")

    @pytest.mark.parametrize("name", sorted(set(COMMANDS) - KEYLESS))
    def test_not_logged_in_is_3(self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        done = Shell(capsys, tmp_path, "").run(*words(name))
        assert (done.code, done.out, done.error["code"]) == (3, "", "not_logged_in")

    @pytest.mark.parametrize("name", sorted(set(COMMANDS) - OFFLINE))
    def test_an_unreachable_server_is_7(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The pauses between tries are what the client's own tests look at.
        monkeypatch.setattr("controlplane.sdk.transport.time.sleep", lambda _: None)
        shell = Shell(capsys, tmp_path, f"http://127.0.0.1:{free_port()}", WHOLE_KEY)
        done = shell.run(*words(name), stdin=WHOLE_KEY)
        assert (done.code, done.out, done.error["code"]) == (7, "", "unreachable")

    def test_a_key_that_is_not_known_is_3_for_every_command(self, owner: Shell, tmp_path: Path) -> None:
        stranger = Shell(owner.capture, tmp_path / "stranger", owner.url, WHOLE_KEY)
        for name in sorted(set(COMMANDS) - OFFLINE - {"signup"}):
            done = stranger.run(*words(name), stdin=WHOLE_KEY)
            assert (done.code, done.out, done.error["code"]) == (3, "", "unauthenticated"), name
            assert done.error["request_id"].startswith("req_")
        assert not (tmp_path / "stranger").exists()

    def test_what_does_not_exist_is_4_for_every_command_that_names_something(
        self, owner: Shell, operator: Shell
    ) -> None:
        assert len(SEEKING) > 40
        for name in SEEKING:
            done = (operator if name.startswith("admin") else owner).run(*words(name))
            if name in STATING:
                assert (done.code, done.error["code"]) == (1, "invalid_input"), (name, done)
                continue
            assert (done.code, done.out, done.error["code"]) == (4, "", "not_found"), (name, done)

    def test_what_the_role_does_not_allow_is_1(self, owner: Shell, tmp_path: Path) -> None:
        key = owner.ask("keys", "create", "looker", "--role", "viewer")
        viewer = Shell(owner.capture, tmp_path / "viewer", owner.url, key["secret"])
        done = viewer.run("apps", "create", "chat", "-o", "json")
        assert (done.code, done.error["code"]) == (1, "forbidden")

    def test_a_refused_field_is_named(self, owner: Shell) -> None:
        done = owner.run("apps", "create", "Not A Name", "-o", "json")
        assert done.code == 1
        assert done.error["code"] == "invalid_input"
        assert [field["field"] for field in done.error["fields"]] == ["body.name"]


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
    made = fresh.ask("signup", *body)
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
    owner.ask("deployments", "cancel", second)
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


def _law_and_sites(operator: Shell) -> None:
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
    terms = ("--framework-version", "2.0", *DAYS.split(), "--site", "borlange", "--evidence", "pdf")
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
    assert operator.ask("admin", "pools", "get", "gpus")["accelerator"] == {"sku": "nvidia-b300", "count": 8}
    for noun in ("entities", "holdings", "certifications", "datacenters", "pools"):
        assert operator.ask("admin", noun, "list"), noun
    assert operator.ask("admin", "nodes", "list", "--pool", "gpus") == []
    operator.ask("admin", "pools", "delete", "gpus")
    for noun, fact in (("certifications", paper["id"]), ("holdings", stake["id"]), ("entities", family)):
        assert operator.ask("admin", noun, "end", fact)["valid_to"] is not None
    assert operator.ask("admin", "clock", "move", "60")["is_simulated"]
    assert operator.ask("admin", "clock", "show")["offset_seconds"] == 60
    operator.ask("admin", "clock", "move", "0")


def _money(fleet: Fleet, billing: Billing, owner: Shell, operator: Shell, folder: Path) -> None:
    billing.project_of = fleet.caller.project_id
    tenant_id = TenantId.parse(fleet.caller.organization_id)
    billing.use(tenant_id)
    [output] = owner.ask("usage", "--meter", "output_tokens", "--group-by", "project", "--project", "default")
    assert (output["quantity"], output["project_id"]) == (str(3 * TOKENS // 10), fleet.caller.project_id)
    cost = owner.ask("costs", "show", "--group-by", "project")
    assert cost["net_minor"] > 0
    wish = ("--usage", "input_tokens=1000000", "--dimension", "model=smollm2-135m")
    assert owner.ask("costs", "preview", *wish)["rating_hash"] != cost["rating_hash"]
    assert owner.run("costs", "preview", "--usage", "input_tokens").code == 2
    assert str(cost["net_minor"]) in owner.run("costs", "show").out
    assert owner.run("budgets", "get").code == 4
    assert owner.ask("budgets", "set", "250")["amount_minor"] == 25_000
    assert owner.ask("budgets", "set", "99.50", "--soft")["version"] == 2
    assert owner.ask("budgets", "get")["is_hard"] is False
    assert [each["amount_minor"] for each in owner.ask("budgets", "list")] == [9_950]
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
    deposit = operator.ask("admin", "invoices", "deposit", whose, "100", "--label", "Crédit")
    assert (deposit["kind"], deposit["net"], deposit["state"]) == ("386", "100.00", "ISSUED")
    assert operator.ask("admin", "vat-checks", "record", whose, "FR44732829320", "UNREACHABLE")["status"]


def _books(operator: Shell, issued: dict[str, Any], folder: Path) -> None:
    year = issued["issued_on"][:4]
    accounts = operator.ask("admin", "ledger", "balances")
    assert sum(account["balance_minor"] for account in accounts) == 0
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
    assert plan["minimum_minor"] == 1_050
    assert plan in operator.ask("admin", "plans", "list")
    assert operator.ask("admin", "plans", "set", whose, "acme", "--from", later)["valid_from"] == later
    assert operator.ask("admin", "plans", "get", whose) == owner.ask("costs", "plan")
    grant = operator.ask(
        "admin", "credits", "grant", whose, "50", "--label", "Bienvenue", "--expires-at", later
    )
    assert (grant["kind"], grant["left_minor"]) == ("PROMOTIONAL", 5_000)
    assert operator.ask("admin", "credits", "list", whose) == owner.ask("costs", "credits") == [grant]
    operator.ask("admin", "usage", "show", whose)
    assert operator.ask("admin", "usage", "conflicts") == []


def _organizations(operator: Shell) -> None:
    who = next(item for item in operator.ask("admin", "organizations", "list") if item["name"] == "newcomer")
    names = ("admin", "organizations")
    assert operator.ask(*names, "suspend", who["id"], "--reason", "Unpaid.")["status"] == "SUSPENDED"
    assert operator.ask(*names, "get", who["id"])["suspension_reason"] == "Unpaid."
    assert operator.ask(*names, "resume", who["id"])["status"] == "ACTIVE"
    first = operator.ask(*names, "quotas", who["id"])[0]["name"]
    assert operator.ask(*names, "set-quota", who["id"], first, "3")["limit"] == 3


def test_each_command_says_what_it_prints() -> None:
    assert set(PRINTS) == set(COMMANDS)
    assert set(ARGUMENTS) <= set(COMMANDS)
