"""Which InferenceDeployment a pod belongs to. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from operators.lib.objects import Obj, ObjectKey
from operators.lib.store import Change

INDEX_OWNER = "inference-deployment"


def owner_keys(pod: Obj) -> Iterable[str]:
    """Index of pods by the InferenceDeployment that controls them."""
    for key in _owners(pod):
        yield str(key)


def keys_of_owner(change: Change) -> Iterable[ObjectKey]:
    """Which InferenceDeployment a pod's change concerns."""
    pod = change.new or change.old
    assert pod is not None
    return _owners(pod)


def _owners(pod: Obj) -> Iterable[ObjectKey]:
    metadata = pod["metadata"]
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller") and reference.get("kind") == "InferenceDeployment":
            yield ObjectKey(metadata.get("namespace", ""), reference["name"])
