"""The real helm, as the charts' tests have it."""

from tests.operators.chart.conftest import helm

__all__ = ["helm"]
