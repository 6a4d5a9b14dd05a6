"""The bill of materials of production as CycloneDX 1.6 JSON, from the locks. Pure: the same locks, the same bytes.

Source: ECMA-424 (CycloneDX 1.6); package URLs as in the purl specification. The schema itself holds it in a test.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.supplychain.lock_rules import Pin

SPEC_VERSION = "1.6"
_NAMESPACE = uuid.UUID("5b0c7e0a-6d0e-5f0c-9c1e-2d6d1c0f7a11")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What an installed release says of itself: its licence (an SPDX expression, or a name), and what it needs."""

    expression: str = ""
    licence: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """What the bill is of; `needs` are the names that it depends on itself."""

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"


def make_sbom(product: Product, pins: Sequence[Pin], facts: Mapping[str, Facts]) -> Json:
    """Build the document. `facts` may lack a pin: one that is installed on another platform alone."""
    references = {pin.name: pin.purl for pin in pins}
    components = [_component(pin, facts.get(pin.name, Facts())) for pin in pins]
    dependencies = [_depends(product.reference, product.needs, references)]
    dependencies += [_depends(pin.purl, facts.get(pin.name, Facts()).needs, references) for pin in pins]
    content = json.dumps([product.reference, components, dependencies], sort_keys=True)
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        # From the content, so that a bill made again is the same file.
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, hashlib.sha256(content.encode()).hexdigest())}",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "pre-build"}],
            "component": {
                "type": "application",
                "bom-ref": product.reference,
                "name": product.name,
                "version": product.version,
                "licenses": [{"license": {"id": product.licence}}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    }


def _component(pin: Pin, facts: Facts) -> Json:
    found: Json = {
        "type": "library",
        "bom-ref": pin.purl,
        "name": pin.name,
        "version": pin.version,
        "scope": "required",
        "purl": pin.purl,
        # Of each file of the release that may be installed: wheels of several platforms, or the source.
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.hashes],
    }
    if facts.expression:
        found["licenses"] = [{"expression": facts.expression}]
    elif facts.licence:
        found["licenses"] = [{"license": {"name": facts.licence}}]
    if pin.marker:
        found["properties"] = [{"name": "rempart:installed-where", "value": pin.marker}]
    return found


def _depends(reference: str, names: Sequence[str], references: Mapping[str, str]) -> Json:
    return {"ref": reference, "dependsOn": sorted({references[name] for name in names if name in references})}
