"""An operator and an administrator on the session's API server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import Running, running, settings_for


@pytest.fixture
async def operator(kubernetes_api: KubernetesApi, tmp_path: Path) -> AsyncIterator[Running]:
    """The node-pool operator with the operators' own identity: what RBAC forbids, fails here."""
    settings = settings_for(kubernetes_api.kubeconfigs["rempart-operators"], tmp_path)
    async with running(settings) as started:
        yield started


@pytest.fixture
async def admin(kubernetes_api: KubernetesApi) -> AsyncIterator[KubernetesClient]:
    """A client of the cluster's administrator, for what the control plane and people do."""
    async with KubernetesClient(load_access(str(kubernetes_api.kubeconfig))) as client:
        yield client
