"""Every command × its exit code, on a real server over a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.identity import key_rules
from controlplane.identity.domain import KeyKind
from tests.fixtures.database import free_port
from tests.integration.cli.shell import Shell
from tests.integration.deployments.fleet import MODEL
from tests.unit.cli.commands import walk

COMMANDS = [command.name for command in walk()]
# Commands that need no key, and those that ask no server either.
KEYLESS = {"login", "logout", "terms", "signup", "secrets-check", "context list", "context use"}
OFFLINE = {"logout", "secrets-check", "context list", "context use"}
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
    "context use": "nothing-of-this-name",
    "organization update": "--city x",
    "admin organizations create": f"nobody {COMPANY}",
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
    "services rollback": f"svc_{NOBODY}",
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
    "admin keys get": f"key_{NOBODY}",
    "admin keys create": "new --role platform_auditor",
    "admin keys roll": f"key_{NOBODY}",
    "admin keys revoke": f"key_{NOBODY}",
    "admin organizations recover": f"org_{NOBODY} --reason x",
    "admin organizations get": f"org_{NOBODY}",
    "admin organizations alike": f"org_{NOBODY}",
    "admin organizations approve": f"org_{NOBODY}",
    "admin organizations refuse": f"org_{NOBODY} --reason x",
    "admin organizations suspend": f"org_{NOBODY} --reason x",
    "admin organizations approve-tax-zone": f"org_{NOBODY} --reason x",
    "admin organizations resume": f"org_{NOBODY}",
    "admin organizations quotas": f"org_{NOBODY}",
    "admin organizations set-quota": f"org_{NOBODY} gpus 1",
    "admin datacenters get": "nowhere",
    "admin datacenters add": f"new --name x {SITE} --operator ent_x --owner ent_x",
    "admin datacenters update": "nowhere --pue-milli 1100",
    "admin pools get": "nothing",
    "admin nodes get": "nothing",
    "admin nodes cordon": "nothing",
    "admin nodes uncordon": "nothing",
    "admin nodes drain": "nothing",
    "admin nodes replace": "nothing",
    "admin pools add": f"new {POOL} --watts-per-node 100 --replicas 1",
    "admin datacenters close": "nowhere",
    "admin pools scale": "nothing 1",
    "admin pools update": "nothing --label a=b",
    "admin pools pause": "nothing",
    "admin pools resume": "nothing",
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
    "admin payments refund": f"org_{NOBODY} 1 2026-01-01 --reference x",
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
        for name in sorted(set(COMMANDS) - OFFLINE - {"signup", "terms"}):
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


def test_each_line_of_words_belongs_to_a_command() -> None:
    assert set(ARGUMENTS) <= set(COMMANDS)
