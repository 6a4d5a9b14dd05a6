"""The one place where lxml is imported: parsing with entities and network off."""

from __future__ import annotations

from typing import Any

from lxml import etree  # type: ignore[import-untyped]

__all__ = ["Element", "etree", "parse_xml"]

# lxml ships no types; an element is what its functions return.
Element = Any


class NotXml(ValueError):
    """The bytes are not well-formed XML."""


def parse_xml(xml: bytes) -> Element:
    """Parse without resolving entities, without network, without DTD; NotXml when it cannot be read."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as err:
        raise NotXml(str(err)) from err
