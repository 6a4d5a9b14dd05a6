"""Namespaces of CII and the few ways in which its values are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Final

from controlplane.einvoicing.xml_door import Element, etree

NAMESPACES: Final = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
# UNTDID 2379: CCYYMMDD.
_DATE_FORMAT: Final = "102"


def tag(name: str) -> str:
    """`ram:ID` as lxml wants it."""
    prefix, local = name.split(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def add(parent: Element, name: str, text: str | None = None, **attributes: str) -> Element:
    """Append an element; attributes are written in the order given."""
    child = etree.SubElement(parent, tag(name), attrib=dict(attributes))
    if text is not None:
        child.text = text
    return child


@contextmanager
def block(parent: Element, name: str) -> Iterator[Element]:
    """Open a group, so that the code is nested as the document is."""
    yield add(parent, name)


def add_date(parent: Element, name: str, day: date, *, kind: str = "udt") -> None:
    add(add(parent, name), f"{kind}:DateTimeString", f"{day:%Y%m%d}", format=_DATE_FORMAT)


def amount(minor: int) -> str:
    """Minor units as major units with two decimals."""
    return f"{Decimal(minor).scaleb(-2):.2f}"


def number(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
