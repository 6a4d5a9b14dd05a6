"""Simulated GPU nodes: KWOK with its own stages and ours."""

from pathlib import Path

from infra.local.build import artefact_folder
from infra.local.versions import KWOK

MANIFESTS = Path(__file__).parent / "manifests"


def list_stages() -> tuple[Path, ...]:
    """The stage files: KWOK's own, copied from its module when it was built, then ours."""
    built = sorted((artefact_folder(KWOK) / "files").glob("*.yaml"))
    assert built, "the build copies the stages beside the program"
    return (*built, MANIFESTS / "stage-acceptance.yaml")
