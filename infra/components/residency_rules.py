"""EU only: where an installation may stand, and the labels by which the cluster's own policies know it. Pure."""

from __future__ import annotations

from controlplane.kernel.jurisdiction import UNION

RESIDENCY_LABEL = "rempart.eu/data-residency"
COUNTRY_LABEL = "rempart.eu/country"


def require_eu(country: str) -> str:
    """Return the country's code. Errors: ValueError if it lies outside the European Union."""
    if country not in UNION:
        raise ValueError(f"'{country[:20]}' is no territory of the European Union (ISO 3166-1, upper case)")
    return country


def residency_labels(country: str) -> dict[str, str]:
    """What every namespace of an installation says. Errors: ValueError outside the Union."""
    return {RESIDENCY_LABEL: "eu", COUNTRY_LABEL: require_eu(country).lower()}


def namespace_labels(country: str) -> dict[str, str]:
    """Residency, and the Pod Security standard under which all of the charts' pods run."""
    return {**residency_labels(country), "pod-security.kubernetes.io/enforce": "restricted"}
