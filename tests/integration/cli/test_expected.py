"""What an engineer expects of a command line without reading: version, help, contexts, questions, flags, projects."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from controlplane.cli.main import run
from tests.integration.cli.shell import Shell

MODEL = "smollm2-135m-instruct"


@pytest.mark.case("W21")
def test_version_help_and_debug(owner: Shell) -> None:
    assert owner.run("--version").out.startswith("rempart ")
    for words in ((), ("services",), ("services", "deploy"), ("admin", "organizations")):
        assert "Usage: rempart" in owner.run(*words, "-h").out
    told = owner.run("--debug", "apps", "list", "-o", "json")
    assert json.loads(told.out) == []
    assert f"> GET {owner.url}/v1/apps" in told.err
    assert "< 200 in" in told.err
    assert owner.key not in told.err


@pytest.mark.case("W22")
def test_contexts_keep_two_installations_apart(owner: Shell, tmp_path: Path) -> None:
    person = Shell(owner.capture, tmp_path / "person", "")
    for name, url in (("one", owner.url), ("two", owner.url)):
        assert person.run("--profile", name, "login", "--url", url, stdin=owner.key).code == 0
    listed = person.ask("context", "list")
    assert [(each["name"], each["is_current"]) for each in listed] == [("one", False), ("two", True)]
    assert owner.key not in json.dumps(listed)
    person.ask("context", "use", "one")
    assert [each["name"] for each in person.ask("context", "list") if each["is_current"]] == ["one"]
    assert person.run("--profile", "two", "whoami").code == 0
    unknown = person.run("--profile", "three", "whoami", "-o", "json")
    assert (unknown.code, unknown.error["code"]) == (2, "wrong_use")
    assert person.run("context", "use", "three", "-o", "json").code == 4
    file = tmp_path / "person" / "rempart" / "config.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.case("W25")
@pytest.mark.parametrize(
    "words",
    [
        ("services", "delete", "x"),
        ("apps", "delete", "x"),
        ("projects", "delete", "x"),
        ("secrets", "delete", "x"),
        ("keys", "revoke", "key_00000000000000000000000000"),
    ],
)
def test_what_cannot_be_undone_is_asked_on_a_terminal(
    owner: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("REMPART_API_URL", owner.url)
    monkeypatch.setenv("REMPART_API_KEY", owner.key)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert run(words) == 130, "no is no"
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run(words) == 4, "yes asks the server, which has no such thing"
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert run((*words, "--yes")) == 4, "--yes asks nobody"
    assert owner.run(*words).code == 4, "a script is not asked"


@pytest.mark.case("W24")
@pytest.mark.case("W23")
def test_a_dry_run_shows_what_the_flags_mean_and_deploys_nothing(owner: Shell) -> None:
    flags = ("--env", "A=1", "--env", "B=x=y", "--secret", "TOKEN=hub", "--certification", "secnumcloud")
    done = owner.run("services", "deploy", "chat", "--model", MODEL, *flags, "--dry-run", "-o", "json")
    found = json.loads(done.out)
    assert found["env"] == [
        {"key": "A", "value": "1"}, {"key": "B", "value": "x=y"}, {"key": "TOKEN", "secret": "hub"},
    ]  # fmt: skip
    assert found["sovereignty"]["certifications"] == [{"framework": "SECNUMCLOUD"}]
    assert owner.ask("services", "list") == []
    assert owner.run("services", "deploy", "chat", "--model", MODEL, "--env", "A").code == 2


@pytest.mark.case("S10")
@pytest.mark.case("W24")
def test_a_service_is_deployed_into_the_project_that_is_named(owner: Shell) -> None:
    second = owner.ask("projects", "create", "second")
    made = [
        owner.ask("services", "deploy", "twin", "--model", MODEL, "--project", name)
        for name in ("default", "second")
    ]
    assert made[0]["id"] != made[1]["id"]
    assert made[1]["project_id"] == second["id"]
    again = owner.ask("services", "deploy", "twin", "--model", MODEL, "--max", "2", "--project", "second")
    assert again["id"] == made[1]["id"]
    listed = owner.ask("services", "list", "--project", "second")
    assert [each["id"] for each in listed] == [made[1]["id"]]
    several = owner.run("services", "deploy", "twin", "--model", MODEL, "-o", "json")
    assert (several.code, several.error["code"]) == (2, "wrong_use")
    assert "--project" in several.error["message"]


@pytest.mark.case("S10")
def test_a_name_that_two_projects_have_is_told_apart_by_the_project(owner: Shell) -> None:
    owner.ask("projects", "create", "second")
    made: dict[str, dict[str, str]] = {}
    for project in ("default", "second"):
        app = owner.ask("apps", "create", "twin", "--project", project)["id"]
        secret = owner.ask("secrets", "create", "twin", "--value", "x", "--project", project)["id"]
        service = owner.ask(
            "services", "deploy", "twin", "--model", MODEL, "--app", app, "--project", project
        )
        made[project] = {"apps": app, "secrets": secret, "services": service["id"]}
    for project, ids in made.items():
        for kind, wanted in ids.items():
            assert owner.ask(kind, "get", "twin", "--project", project)["id"] == wanted
            assert [each["id"] for each in owner.ask(kind, "list", "--project", project)] == [wanted]
            assert len(owner.ask(kind, "list")) == 2
        service = ids["services"]
        scaled = owner.ask("services", "scale", "twin", "--min", "0", "--max", "3", "--project", project)
        assert scaled["id"] == service
        assert {each["service_id"] for each in owner.ask("events", "twin", "--project", project)} == {service}
        assert owner.ask("logs", "twin", "--project", project) == []
        listed = owner.ask("deployments", "list", "twin", "--project", project)
        assert {each["service_id"] for each in listed} == {service}
        assert owner.ask("instances", "list", "--project", project) == []
    several = owner.run("services", "pause", "twin", "-o", "json")
    assert (several.code, several.error["code"]) == (2, "wrong_use")
    assert "--project" in several.error["message"]
    assert owner.run("apps", "list", "--project", "third", "-o", "json").code == 4
    owner.ask("secrets", "delete", "twin", "--project", "second", "--yes")
    assert [each["id"] for each in owner.ask("secrets", "list")] == [made["default"]["secrets"]]


@pytest.mark.case("W29")
@pytest.mark.parametrize("country", ["france", "F", "F1", "", "ФР"])
def test_a_country_is_two_letters(owner: Shell, country: str) -> None:
    done = owner.run("services", "deploy", "x", "--model", MODEL, "--country", country, "-o", "json")
    assert done.code == 2
    assert "two letters (ISO 3166-1), such as FR" in done.error["message"]


@pytest.mark.case("W28")
def test_a_long_cell_is_cut_and_whole_in_json(owner: Shell) -> None:
    long = "a long sentence " * 12
    owner.ask("projects", "create", "wordy", "--description", long.strip())
    service = owner.ask("services", "deploy", "chat", "--model", MODEL)
    shown = owner.run("deployments", "get", service["latest_deployment_id"]).out
    assert max(len(line) for line in shown.splitlines()) < 260
    assert long.strip() in owner.run("projects", "list", "-o", "json").out
