"""The real helm, built like the other pinned programs."""

import pytest

from infra.local.build import ensure_built
from infra.local.versions import TEST_SOURCES
from tests.operators.chart.charts import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    ensure_built(sources=TEST_SOURCES)
    return Helm(tmp_path_factory.mktemp("helm"))
