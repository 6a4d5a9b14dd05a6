"""BG-4, BG-7 and BT-13: seller, buyer, purchase order."""

from __future__ import annotations

from controlplane.einvoicing.cii.elements import add, block
from controlplane.einvoicing.xml_door import Element
from controlplane.invoicing.domain import Buyer, Invoice, PostalAddress, Seller
from controlplane.invoicing.party_data import SCHEME_FR_ADDRESS, SCHEME_SIREN, SCHEME_SIRET


def add_agreement(trade: Element, invoice: Invoice) -> None:
    assert invoice.seller is not None
    assert invoice.buyer is not None
    with block(trade, "ram:ApplicableHeaderTradeAgreement") as agreement:
        _add_seller(agreement, invoice.seller)
        _add_buyer(agreement, invoice.buyer)
        if invoice.purchase_order:
            add(
                add(agreement, "ram:BuyerOrderReferencedDocument"),
                "ram:IssuerAssignedID",
                invoice.purchase_order,
            )


def _add_seller(agreement: Element, seller: Seller) -> None:
    with block(agreement, "ram:SellerTradeParty") as party:
        add(party, "ram:GlobalID", seller.siret, schemeID=SCHEME_SIRET)
        add(party, "ram:Name", seller.legal_name)
        add(party, "ram:Description", seller_description(seller))
        with block(party, "ram:SpecifiedLegalOrganization") as organization:
            add(organization, "ram:ID", seller.siren, schemeID=SCHEME_SIREN)
        with block(party, "ram:DefinedTradeContact") as contact:
            add(contact, "ram:DepartmentName", "Facturation")
            add(add(contact, "ram:EmailURIUniversalCommunication"), "ram:URIID", seller.contact_email)
        _add_address(party, seller.address)
        add(
            add(party, "ram:URIUniversalCommunication"), "ram:URIID", seller.electronic_address,
            schemeID=SCHEME_FR_ADDRESS,
        )  # fmt: skip
        add(add(party, "ram:SpecifiedTaxRegistration"), "ram:ID", seller.vat_id, schemeID="VA")


def seller_description(seller: Seller) -> str:
    """BT-33: form, capital and registry, as company law wants them on each document."""
    euros, cents = divmod(seller.capital_minor, 100)
    return f"{seller.legal_form} au capital de {euros},{cents:02d} € - RCS {seller.rcs_city} {seller.siren}"


def _add_buyer(agreement: Element, buyer: Buyer) -> None:
    with block(agreement, "ram:BuyerTradeParty") as party:
        add(party, "ram:Name", buyer.legal_name)
        if buyer.legal_id is not None and buyer.legal_scheme is not None:
            with block(party, "ram:SpecifiedLegalOrganization") as organization:
                add(organization, "ram:ID", buyer.legal_id, schemeID=buyer.legal_scheme)
        _add_address(party, buyer.address)
        add(
            add(party, "ram:URIUniversalCommunication"), "ram:URIID", buyer.electronic_address,
            schemeID=buyer.electronic_scheme,
        )  # fmt: skip
        if buyer.vat_id is not None:
            add(add(party, "ram:SpecifiedTaxRegistration"), "ram:ID", buyer.vat_id, schemeID="VA")


def _add_address(party: Element, address: PostalAddress) -> None:
    with block(party, "ram:PostalTradeAddress") as postal:
        if address.postal_code:
            add(postal, "ram:PostcodeCode", address.postal_code)
        add(postal, "ram:LineOne", address.line1)
        if address.line2:
            add(postal, "ram:LineTwo", address.line2)
        add(postal, "ram:CityName", address.city)
        add(postal, "ram:CountryID", address.country)
