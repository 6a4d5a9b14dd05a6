"""What a component is made of: a labelled namespace, the custom resources, and a chart's release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi import Output, ResourceOptions
from pulumi.dynamic import Resource

from infra.components.cluster_provider import (
    CustomResourcesProvider,
    HelmReleaseProvider,
    NamespaceProvider,
)
from infra.components.residency_rules import namespace_labels
from infra.components.tools import CHARTS, CRDS, digest_of


class Namespace(Resource, module="rempart", name="Namespace"):
    """A namespace of an EU country, under the restricted Pod Security standard; made if it is not there."""

    name: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        country: str,
        context: str = "",
        opts: ResourceOptions | None = None,
    ) -> None:
        props = {"name": name, "labels": namespace_labels(country), "context": context}
        super().__init__(NamespaceProvider(), resource_name, props, opts)


class CustomResources(Resource, module="rempart", name="CustomResources"):
    """The custom resource definitions of `helm/operators/crds`, brought up to date."""

    def __init__(self, resource_name: str, *, context: str = "", opts: ResourceOptions | None = None) -> None:
        props = {"digest": digest_of(CRDS), "context": context}
        super().__init__(CustomResourcesProvider(), resource_name, props, opts)


class HelmRelease(Resource, module="rempart", name="HelmRelease"):
    """One of our charts with its values; a changed chart or value is an upgrade."""

    release: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        release: str,
        chart: str,
        namespace: Output[str],
        values: Mapping[str, Any],
        context: str = "",
        wait_seconds: int,
        opts: ResourceOptions | None = None,
    ) -> None:
        props = {
            "release": release,
            "chart": chart,
            "chart_digest": digest_of(CHARTS / chart),
            "namespace": namespace,
            "values": dict(values),
            "context": context,
            "wait_seconds": wait_seconds,
        }
        super().__init__(HelmReleaseProvider(), resource_name, props, opts)
