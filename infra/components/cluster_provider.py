"""What the engine calls to install: a chart by helm, a namespace's labels and the custom resources by kubectl.

Where the cluster is comes from KUBECONFIG in the environment at each call; no credential is an input.
"""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import (
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from infra.components.tools import CHARTS, CRDS, ToolFailed, context_flag, run_tool, try_tool
from infra.provider.values import Props, clean, is_unknown

FIELD_MANAGER = "rempart-pulumi"
DEPLOYED = "deployed"
# A release that goes takes its pods' drain with it.
UNINSTALL_SECONDS_MAX = 300


class ClusterProvider(ResourceProvider, ABC):
    """What both kinds share: they are known by their inputs, so making and changing are one."""

    serialize_as_secret_always = False
    compared: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()

    def configure(self, req: ConfigureRequest) -> None:
        del req
        logging.getLogger("grpc._server").setLevel(logging.CRITICAL)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        old, new = clean(_olds), clean(_news)
        replaced = _differing(self.replacing, old, new)
        is_changed = bool(replaced or _differing(self.compared, old, new) or old.get("is_drifted"))
        return DiffResult(changes=is_changed, replaces=replaced, delete_before_replace=True)

    def create(self, props: Props) -> CreateResult:
        wanted = clean(props)
        return CreateResult(self.identify(wanted), self.apply(wanted))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        return UpdateResult(self.apply(clean(_news)))

    @abstractmethod
    def identify(self, wanted: Props) -> str:
        """What the thing is called in the state."""

    @abstractmethod
    def apply(self, wanted: Props) -> Props:
        """Make the cluster so; return what the state keeps."""


class HelmReleaseProvider(ClusterProvider):
    """One of our charts. The same release, chart and namespace are the same installation, whoever began it."""

    compared = ("values", "chart_digest")
    replacing = ("release", "namespace", "chart", "context")

    def identify(self, wanted: Props) -> str:
        return f"{wanted['namespace']}/{wanted['release']}"

    def apply(self, wanted: Props) -> Props:
        seconds = int(wanted.get("wait_seconds", 0))
        waiting = ("--wait", f"--timeout={seconds}s") if seconds else ()
        # Custom resource definitions are a resource of their own: helm would never upgrade them.
        run_tool(
            "helm", "upgrade", "--install", wanted["release"], str(CHARTS / wanted["chart"]), "--skip-crds",
            "--values=-", *_where(wanted), *waiting, stdin=json.dumps(wanted["values"]), seconds=seconds,
        )  # fmt: skip
        return {**wanted, "manifest_digest": _manifest_digest(wanted), "is_drifted": False}

    def read(self, id_: str, props: Props) -> ReadResult:
        known = clean(props)
        told = try_tool("helm", "status", known["release"], "--output=json", *_where(known))
        if told.returncode != 0:
            if "not found" in told.stderr:
                return ReadResult("", {})
            raise ToolFailed(f"helm status: {told.stderr.strip()}")
        values = json.loads(
            run_tool("helm", "get", "values", known["release"], "--output=json", *_where(known))
        )
        is_deployed = json.loads(told.stdout)["info"]["status"] == DEPLOYED
        is_drifted = not is_deployed or _manifest_digest(known) != known["manifest_digest"]
        return ReadResult(id_, {**known, "values": clean(values or {}), "is_drifted": is_drifted})

    def delete(self, _id: str, _props: Props) -> None:
        known = clean(_props)
        run_tool(
            "helm", "uninstall", known["release"], "--ignore-not-found", "--wait",
            f"--timeout={UNINSTALL_SECONDS_MAX}s", *_where(known), seconds=UNINSTALL_SECONDS_MAX,
        )  # fmt: skip


class NamespaceProvider(ClusterProvider):
    """A namespace's labels. Deleting takes the labels back and leaves the namespace: it holds your Secrets."""

    compared = ("labels",)
    replacing = ("name", "context")

    def identify(self, wanted: Props) -> str:
        return str(wanted["name"])

    def apply(self, wanted: Props) -> Props:
        self._send(wanted, wanted["labels"])
        return wanted

    def read(self, id_: str, props: Props) -> ReadResult:
        known = clean(props)
        flags = context_flag("kubectl", known.get("context", ""))
        text = run_tool(
            "kubectl", "get", "namespace", known["name"], "--ignore-not-found", "--output=json", *flags
        )
        if not text.strip():
            return ReadResult("", {})
        labels = json.loads(text)["metadata"].get("labels", {})
        return ReadResult(id_, {**known, "labels": {key: labels.get(key, "") for key in known["labels"]}})

    def delete(self, _id: str, _props: Props) -> None:
        known = clean(_props)
        if self.read(_id, known).id:
            self._send(known, {})

    def _send(self, wanted: Props, labels: Mapping[str, str]) -> None:
        metadata = {"name": wanted["name"], "labels": dict(labels)}
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        _apply(wanted.get("context", ""), "-", stdin=json.dumps(manifest))


class CustomResourcesProvider(ClusterProvider):
    """The custom resource definitions. Deleting leaves them: with them would go every pool and every deployment."""

    compared = ("digest",)
    replacing = ("context",)

    def identify(self, wanted: Props) -> str:
        del wanted
        return "rempart.eu"

    def apply(self, wanted: Props) -> Props:
        _apply(wanted.get("context", ""), str(CRDS))
        return wanted

    def read(self, id_: str, props: Props) -> ReadResult:
        known = clean(props)
        flags = ("--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts")
        told = try_tool(
            "kubectl",
            "diff",
            *flags,
            f"--filename={CRDS}",
            *context_flag("kubectl", known.get("context", "")),
        )
        # By its manual: 0 no difference, 1 some, more an error.
        if told.returncode > 1:
            raise ToolFailed(f"kubectl diff: {told.stderr.strip()}")
        return ReadResult(id_, {**known, "is_drifted": told.returncode == 1})

    def delete(self, _id: str, _props: Props) -> None:
        """They stay; a person removes them when nothing uses them any more."""


def _apply(context: str, source: str, stdin: str | None = None) -> None:
    run_tool(
        "kubectl", "apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}",
        f"--filename={source}", *context_flag("kubectl", context), stdin=stdin,
    )  # fmt: skip


def _where(props: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"--namespace={props['namespace']}", *context_flag("helm", props.get("context", "")))


def _manifest_digest(props: Mapping[str, Any]) -> str:
    text = run_tool("helm", "get", "manifest", props["release"], *_where(props))
    return hashlib.sha256(text.encode()).hexdigest()


def _differing(names: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name in names
        if is_unknown(new.get(name)) or (old.get(name) or None) != (new.get(name) or None)
    ]
