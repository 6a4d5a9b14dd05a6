"""What the engine calls for each kind of resource. Classes of an importable module: the engine keeps a reference to
one of them, never its code or its values (`serialize_as_secret_always` is off because there is nothing to hide).
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from controlplane.sdk import Rempart
from infra.provider import diff_rules, input_rules
from infra.provider.diff_rules import Change
from infra.provider.input_rules import Fault
from infra.provider.session import Json, Refused, connected, create_once, find, organization_of
from infra.provider.values import Props, clean, pick

STACK_ID = "rempart:stackId"


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that the engine asks for.

    Shapes: `id` is empty until the thing exists; `known` is what the state says of it, `wanted` what is declared;
            `key` is the Idempotency-Key of its creation, None where the client makes one.
    """

    client: Rempart
    id: str = ""
    known: Json = field(default_factory=dict)
    wanted: Json = field(default_factory=dict)
    key: str | None = None

    @property
    def organization_id(self) -> str:
        """The organization that the thing belongs to."""
        return str(self.known.get("organization_id") or organization_of(self.client))


class Provider(ResourceProvider, ABC):
    """What all kinds share: one connection a call, gone is gone, adoption, and creation exactly once."""

    serialize_as_secret_always = False
    noun: ClassVar[str]
    rule: ClassVar[diff_rules.Rule]
    # The stack's own identity, where its settings have one: see `session.create_once`.
    stack_id: str | None = None

    def configure(self, req: ConfigureRequest) -> None:
        # Set in the engine's process only, after the reference was resolved: it is part of no serialised provider.
        self.stack_id = req.config.get(STACK_ID)
        # A refusal is told once, by the engine; the server's traceback beside it would bury it.
        logging.getLogger("grpc._server").setLevel(logging.CRITICAL)

    def check(self, _olds: Props, news: Props) -> CheckResult:
        return CheckResult(
            news, [CheckFailure(each.input, each.sentence) for each in self.faults(clean(news))]
        )

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        change = self.compare(clean(_olds), clean(_news))
        return DiffResult(
            changes=change.is_any,
            replaces=list(change.replacing),
            delete_before_replace=change.is_old_deleted_first,
        )

    def create(self, props: Props) -> CreateResult:
        with connected() as client:
            call = Call(client, wanted=clean(props))
            if call.wanted.get("adopt"):
                return self._adopt(replace(call, id=call.wanted["adopt"]))
            made = create_once(
                lambda key: self.make(replace(call, key=key)),
                lambda made: self.is_spent(replace(call, id=str(made["id"])), made),
                self.stack_id,
                [self.noun, call.wanted],
            )
            described = self.describe(replace(call, id=str(made["id"])), made)
            return CreateResult(str(made["id"]), call.wanted | described)

    def read(self, id_: str, props: Props) -> ReadResult:
        with connected() as client:
            call = Call(client, id_, known=clean(props))
            found = self.fetch(call)
            if found is None:
                return ReadResult("", {})
            return ReadResult(id_, call.known | self.describe(call, found))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        with connected() as client:
            call = Call(client, _id, clean(_olds), clean(_news))
            return UpdateResult(self._changed(call))

    def delete(self, _id: str, _props: Props) -> None:
        with connected() as client:
            call = Call(client, _id, known=clean(_props))
            if self.fetch(call) is not None:
                self.remove(call)

    def _changed(self, call: Call) -> Json:
        """Change the thing; what the state says of it afterwards compares with what is declared now."""
        changed = self.change(call)
        now = {"organization_id": call.organization_id}
        return call.wanted | self.describe(replace(call, known=call.wanted | now), changed)

    def _adopt(self, call: Call) -> CreateResult:
        found = self.fetch(replace(call, known={"organization_id": call.organization_id}))
        if found is None:
            raise Refused(f"There is no {self.noun} {call.id} to adopt.")
        now = self.describe(replace(call, known=call.wanted), found)
        change = self.compare(now, call.wanted)
        if change.replacing:
            names = ", ".join(change.replacing)
            raise Refused(f"The {self.noun} {call.id} has another {names}: declare it as it is to adopt it.")
        if change.is_any:
            return CreateResult(call.id, self._changed(replace(call, known=now)))
        return CreateResult(call.id, call.wanted | now)

    def fetch(self, call: Call) -> Json | None:
        """The thing as the server has it; None when it is gone, or as good as gone."""
        return find(call.client, lambda: self.get(call), call.known.get("organization_id"))

    def is_spent(self, call: Call, made: Json) -> bool:
        """Whether what a creation answered is of no use: an old answer, of a thing that was deleted since."""
        del made
        return self.fetch(call) is None

    def compare(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        return diff_rules.compare(self.rule, old, new)

    @abstractmethod
    def faults(self, props: Mapping[str, Any]) -> list[Fault]:
        """What cannot be of the declared inputs."""

    @abstractmethod
    def get(self, call: Call) -> Json: ...

    @abstractmethod
    def make(self, call: Call) -> Json: ...

    @abstractmethod
    def change(self, call: Call) -> Json:
        """Change in place what differs; return the thing as the server has it then."""

    @abstractmethod
    def remove(self, call: Call) -> None: ...

    @abstractmethod
    def describe(self, call: Call, found: Json) -> Json:
        """The outputs of a thing: what it is now, under the names of its inputs, and what only the server says."""


class ProjectProvider(Provider):
    noun = "project"
    rule = diff_rules.PROJECT

    def faults(self, props: Mapping[str, Any]) -> list[Fault]:
        return input_rules.check_project(props)

    def get(self, call: Call) -> Json:
        return call.client.projects.get(call.id)

    def make(self, call: Call) -> Json:
        body = pick(call.wanted, ("name", "description"))
        return call.client.projects.create(body, idempotency_key=call.key)

    def change(self, call: Call) -> Json:
        body = {"name": call.wanted["name"], "description": call.wanted.get("description", "")}
        return call.client.projects.update(call.id, body)

    def remove(self, call: Call) -> None:
        call.client.projects.delete(call.id)

    def describe(self, call: Call, found: Json) -> Json:
        return {**pick(found, ("name", "description")), "organization_id": call.organization_id}


class AppProvider(Provider):
    noun = "app"
    rule = diff_rules.APP

    def faults(self, props: Mapping[str, Any]) -> list[Fault]:
        return input_rules.check_app(props)

    def get(self, call: Call) -> Json:
        return call.client.apps.get(call.id)

    def make(self, call: Call) -> Json:
        body = pick(call.wanted, ("name", "project_id"))
        return call.client.apps.create(body, idempotency_key=call.key)

    def change(self, call: Call) -> Json:
        return call.client.apps.update(call.id, {"name": call.wanted["name"]})

    def remove(self, call: Call) -> None:
        call.client.apps.delete(call.id)

    def describe(self, call: Call, found: Json) -> Json:
        return pick(found, ("name", "organization_id")) | project_of(call, found)


class SecretProvider(Provider):
    """The value goes to the server and into the state, there encrypted by the stack's key; nothing reads it back."""

    noun = "secret"
    rule = diff_rules.SECRET

    def faults(self, props: Mapping[str, Any]) -> list[Fault]:
        return input_rules.check_secret(props)

    def get(self, call: Call) -> Json:
        return call.client.secrets.get(call.id)

    def make(self, call: Call) -> Json:
        body = pick(call.wanted, ("name", "project_id", "value"))
        return call.client.secrets.create(body, idempotency_key=call.key)

    def change(self, call: Call) -> Json:
        return call.client.secrets.update(call.id, {"value": call.wanted["value"]})

    def remove(self, call: Call) -> None:
        call.client.secrets.delete(call.id)

    def describe(self, call: Call, found: Json) -> Json:
        told = pick(found, ("name", "organization_id", "version")) | project_of(call, found)
        if call.known.get("version", found["version"]) != found["version"]:
            # Somebody gave it another value: what the state holds is no longer what the secret is.
            told["value"] = ""
        return told


class ApiKeyProvider(Provider):
    """A key is made and revoked, never changed. Its text is told once, when it is made."""

    noun = "API key"
    rule = diff_rules.API_KEY
    _WISH = ("name", "role", "kind", "project_id", "scopes", "expires_in_days")

    def faults(self, props: Mapping[str, Any]) -> list[Fault]:
        return input_rules.check_api_key(props)

    def get(self, call: Call) -> Json:
        return call.client.api_keys.get(call.id)

    def fetch(self, call: Call) -> Json | None:
        found = super().fetch(call)
        # A key that opens nothing any more is as good as gone: the next `up` makes another.
        return found if found is not None and found["state"] == "ACTIVE" else None

    def is_spent(self, call: Call, made: Json) -> bool:
        if made.get("secret"):
            return False
        # An earlier run made it and was cut off before its text was kept: nobody can use it, so nobody shall.
        if self.fetch(call) is not None:
            call.client.api_keys.revoke(call.id)
        return True

    def make(self, call: Call) -> Json:
        return call.client.api_keys.create(pick(call.wanted, self._WISH), idempotency_key=call.key)

    def change(self, call: Call) -> Json:
        raise Refused(f"The API key {call.id} cannot be changed; another one replaces it.")

    def remove(self, call: Call) -> None:
        call.client.api_keys.revoke(call.id)

    def describe(self, call: Call, found: Json) -> Json:
        told = pick(found, ("last_four", "expires_at", "secret"))
        return {**told, "organization_id": call.organization_id}


def project_of(call: Call, found: Json) -> Json:
    """The project as an input: said only if it was said, so that leaving it to the server is no difference."""
    said = call.known.get("project_id") or call.wanted.get("project_id")
    return {"project_id": found["project_id"]} if said else {}
