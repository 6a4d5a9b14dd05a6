"""Wire shapes of invoices. Amounts are decimal texts in the document's currency ("1234.56")."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from pydantic import Field

from controlplane.invoicing.document_port import FileState, get_keeper
from controlplane.invoicing.domain import (
    Buyer,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    PostalAddress,
    Seller,
    VatIdStatus,
)
from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.period import PARIS, Period
from controlplane.plumbing.amounts import AmountText, PositiveAmountText, exact_text, minor_of, text_of
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import WireModel


def parse_month(text: str) -> Period:
    """`2026-10` as that month in Paris; InvalidInput otherwise."""
    year, _, month = text.partition("-")
    if (
        len(year) == 4
        and len(month) == 2
        and (year + month).isdigit()
        and 1 <= int(month) <= 12
        and int(year) > 0
    ):
        return Period.month(int(year), int(month))
    raise InvalidInput("A period is a month: four digits of year, a hyphen, two digits of month.")


class AddressShape(WireModel):
    line1: str = Field(max_length=200, description="First line.", examples=["1 rue de la Démonstration"])
    line2: str = Field(default="", max_length=200, description="Second line.", examples=[""])
    postal_code: str = Field(max_length=20, description="Postal code.", examples=["75001"])
    city: str = Field(max_length=100, description="City.", examples=["Paris"])
    country: str = Field(
        min_length=2, max_length=2, description="Country (ISO 3166-1 alpha-2).", examples=["FR"]
    )

    def to_domain(self) -> PostalAddress:
        return PostalAddress(self.line1, self.line2, self.postal_code, self.city, self.country)


class SellerShape(WireModel):
    """Who sells (EN 16931 BG-4) with what French commercial law adds."""

    legal_name: str = Field(
        min_length=1, max_length=200, description="Name of the company.", examples=["Rempart SAS"]
    )
    legal_form: str = Field(
        min_length=1, max_length=100, description="Legal form.", examples=["Société par actions simplifiée"]
    )
    capital: PositiveAmountText = Field(description="Share capital, in EUR.", examples=["100000.00"])
    siren: str = Field(min_length=9, max_length=9, description="SIREN.", examples=["100000009"])
    siret: str = Field(min_length=14, max_length=14, description="SIRET.", examples=["10000000900017"])
    rcs_city: str = Field(
        min_length=1, max_length=100, description="Town of the registry.", examples=["Paris"]
    )
    vat_id: str = Field(min_length=4, max_length=16, description="VAT number.", examples=["FR88100000009"])
    address: AddressShape = Field(description="Head office.")
    iban: str = Field(
        pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}$", description="Account to pay to.",
        examples=["FR7630006000011234567890189"],
    )  # fmt: skip
    bic: str = Field(
        pattern=r"^[A-Z0-9]{8}([A-Z0-9]{3})?$", description="Bank of the account.", examples=["AGRIFRPPXXX"]
    )
    electronic_address: str = Field(
        pattern=r"^[A-Za-z0-9+_.-]{9,125}$",
        description="Address in the French directory.",
        examples=["100000009"],
    )
    contact_email: str = Field(
        pattern=r"^[^@\s]+@[^@\s]+$", max_length=200, description="Whom to write to.",
        examples=["facturation@example.com"],
    )  # fmt: skip
    number_prefix: str = Field(
        pattern=r"^[A-Z]{1,6}$", description="What invoice numbers start with.", examples=["RMP"]
    )
    payment_days: int = Field(ge=0, le=45, description="Days to pay, at most 45.", examples=[30])
    late_rate: str = Field(
        min_length=1, max_length=200, description="Late-payment rate in words.",
        examples=["taux de la BCE majoré de 10 points"],
    )  # fmt: skip
    is_vat_on_debits: bool = Field(description="The debits option was taken.", examples=[False])
    is_demo: bool = Field(description="The company does not exist.", examples=[True])

    def to_domain(self) -> Seller:
        facts = self.model_dump(exclude={"address", "capital"})
        return Seller(address=self.address.to_domain(), capital_minor=minor_of(self.capital), **facts)

    @classmethod
    def of(cls, seller: Seller) -> SellerShape:
        facts = {
            name: getattr(seller, name) for name in cls.model_fields if name not in {"address", "capital"}
        }
        address = AddressShape.model_validate(seller.address, from_attributes=True)
        return cls(address=address, capital=text_of(seller.capital_minor), **facts)


class SellerAnswer(WireModel):
    seller: SellerShape = Field(description="The seller.")
    version: int = Field(description="Counts its changes.", examples=[1])

    @classmethod
    def of(cls, seller: Seller, version: int) -> SellerAnswer:
        return cls(seller=SellerShape.of(seller), version=version)


class LineShape(WireModel):
    position: int = Field(description="Number of the line (BT-126).", examples=[1])
    sku: str = Field(description="What was sold.", examples=["tokens-out"])
    name: str = Field(description="Its name in French (BT-153).", examples=["Jetons générés"])
    description: str = Field(description="Its name in English (BT-154).", examples=["Output tokens"])
    quantity: str = Field(description="How much (BT-129).", examples=["1234567"])
    unit_code: str = Field(description="Unit, UN/ECE Recommendation 20 (BT-130).", examples=["C62"])
    price: str = Field(description="Price for `base_quantity` units, before VAT (BT-146).", examples=["0.35"])
    base_quantity: str = Field(description="How many units the price is for (BT-149).", examples=["1000000"])
    net: str = Field(description="Amount before VAT (BT-131).", examples=["0.43"])
    period_start: datetime = Field(description="Start of the use.", examples=["2026-09-30T22:00:00Z"])
    period_end: datetime = Field(description="End of the use (exclusive).", examples=["2026-10-31T23:00:00Z"])
    calculation: list[str] = Field(
        description="The steps from quantity to amount.", examples=[["AMOUNT(…) = 0.43"]]
    )
    price_version: str | None = Field(description="Tariff that was applied.", examples=["prv_01k"])
    is_correction: bool = Field(description="Corrects an earlier period.", examples=[False])
    project_id: str | None = Field(description="Project that used it, when it is one.", examples=[None])
    service_id: str | None = Field(description="Service that used it, when it is one.", examples=[None])

    @classmethod
    def of(cls, line: InvoiceLine) -> LineShape:
        return cls(
            position=line.position, sku=line.sku, name=line.name, description=line.description,
            quantity=_plain(line.quantity), unit_code=line.unit_code, price=exact_text(line.price),
            base_quantity=_plain(line.base_quantity), net=text_of(line.net_minor),
            period_start=line.period.start, period_end=line.period.end, calculation=list(line.calculation),
            price_version=line.price_version, is_correction=line.is_correction, project_id=line.project_id,
            service_id=line.service_id,
        )  # fmt: skip


class VatShape(WireModel):
    case: str = Field(description="Row of the VAT table.", examples=["1-fr-business"])
    category: str = Field(description="VAT category (BT-118).", examples=["S"])
    rate: str | None = Field(description="Rate in percent; null where none may be shown.", examples=["20"])
    exemption: str | None = Field(description="Why no VAT is charged (BT-120).", examples=[None])
    source: str = Field(description="Article that the row rests on.", examples=["CGI art. 259-1° and 278"])


class HoldShape(WireModel):
    code: str = Field(description="Stable code.", examples=["vies_unreachable"])
    reason: str = Field(
        description="What is waited for.", examples=["VIES did not answer about DE123456788."]
    )


class BuyerShape(WireModel):
    legal_name: str = Field(description="Name of the customer.", examples=["Kernel SAS"])
    siren: str | None = Field(description="SIREN, in France.", examples=["732829320"])
    vat_id: str | None = Field(description="VAT number.", examples=["FR44732829320"])
    country: str = Field(description="Country of the billing address.", examples=["FR"])

    @classmethod
    def of(cls, buyer: Buyer) -> BuyerShape:
        return cls(
            legal_name=buyer.legal_name, siren=buyer.siren, vat_id=buyer.vat_id, country=buyer.address.country
        )


class FileShape(WireModel):
    state: str = Field(
        description="PENDING, RENDER_FAILED, or ARCHIVED: made, and kept as it is.",
        examples=["ARCHIVED"],
    )
    reason: str = Field(description="What failed.", examples=[""])


class InvoiceShape(WireModel):
    """An invoice, deposit invoice or credit note as EN 16931 names its parts."""

    id: str = Field(description="Id.", examples=["inv_01k0000000000000000000000a"])
    organization_id: str = Field(description="Whose it is.", examples=["org_01k0000000000000000000000a"])
    kind: InvoiceKind = Field(
        description="380 invoice, 381 credit note, 386 deposit invoice (BT-3).", examples=["380"]
    )
    state: InvoiceState = Field(description="Where it stands.", examples=["ISSUED"])
    number: str | None = Field(description="Number (BT-1), once issued.", examples=["RMP-2026-000001"])
    issued_on: date | None = Field(description="Date of issue (BT-2).", examples=["2026-11-02"])
    due_on: date | None = Field(description="Due date (BT-9).", examples=["2026-12-02"])
    period: str = Field(description="Month that is billed.", examples=["2026-10"])
    currency: str = Field(description="Currency (BT-5).", examples=["EUR"])
    buyer: BuyerShape | None = Field(description="Customer as it was at issue (BG-7).")
    vat: VatShape | None = Field(description="VAT treatment.")
    lines: list[LineShape] = Field(description="Lines (BG-25).")
    allowance: str = Field(description="Sum of discounts (BT-107).", examples=["0.00"])
    net: str = Field(description="Total before VAT (BT-109).", examples=["100.00"])
    tax: str = Field(description="VAT (BT-110).", examples=["20.00"])
    gross: str = Field(description="Total with VAT (BT-112).", examples=["120.00"])
    hold: HoldShape | None = Field(description="Why it waits; null when nothing holds it.")
    corrects: str | None = Field(
        description="Number of the invoice that a credit note corrects.", examples=[None]
    )
    deducts: list[str] = Field(description="Numbers of the deposit invoices that it deducts.", examples=[[]])
    file: FileShape | None = Field(description="Where its files stand; null before the issue.")
    provenance: dict[str, str] = Field(
        description="Engine, tariff and usage cut-off.", examples=[{"engine": "rating/2"}]
    )
    is_demo: bool = Field(description="The seller does not exist.", examples=[True])
    version: int = Field(description="Counts changes.", examples=[2])
    created_at: datetime = Field(description="When it was drafted.", examples=["2026-11-02T09:00:00Z"])

    @classmethod
    def of(cls, invoice: Invoice, file: FileState | None) -> InvoiceShape:
        vat = invoice.vat
        return cls(
            id=str(invoice.id), organization_id=str(invoice.tenant_id), kind=invoice.kind, state=invoice.state,
            number=invoice.number, issued_on=invoice.issued_on, due_on=invoice.due_on,
            period=f"{invoice.period.start.astimezone(PARIS):%Y-%m}", currency=invoice.currency,
            buyer=None if invoice.buyer is None else BuyerShape.of(invoice.buyer),
            vat=None
            if vat is None
            else VatShape(
                case=vat.case, category=vat.category, rate=None if vat.rate is None else _plain(vat.rate),
                exemption=vat.exemption_text, source=vat.source,
            ),
            lines=[LineShape.of(line) for line in invoice.lines],
            allowance=text_of(invoice.totals.allowance_minor), net=text_of(invoice.totals.net_minor),
            tax=text_of(invoice.totals.tax_minor), gross=text_of(invoice.totals.gross_minor),
            hold=None
            if invoice.hold is None
            else HoldShape(code=invoice.hold.code, reason=invoice.hold.reason),
            corrects=None if invoice.preceding is None else invoice.preceding.number,
            deducts=[deposit.number for deposit in invoice.deposits],
            file=None if file is None else FileShape(state=file.state, reason=file.message),
            provenance=dict(invoice.provenance), is_demo=invoice.seller is not None and invoice.seller.is_demo,
            version=invoice.version, created_at=invoice.created_at,
        )  # fmt: skip


class InvoiceAnswer(WireModel):
    invoice: InvoiceShape = Field(description="The invoice.")

    @classmethod
    def of(cls, uow: UnitOfWork, invoice: Invoice) -> InvoiceAnswer:
        return cls(invoice=to_shapes(uow, [invoice])[0])


def to_shapes(uow: UnitOfWork, invoices: Sequence[Invoice]) -> list[InvoiceShape]:
    """Invoices with where their files stand."""
    issued = [invoice.id for invoice in invoices if invoice.is_issued]
    states = get_keeper().find_states(uow, issued) if issued else {}
    pending = FileState("PENDING", "", is_kept=False)
    return [
        InvoiceShape.of(invoice, states.get(invoice.id, pending) if invoice.is_issued else None)
        for invoice in invoices
    ]


class InvoiceList(WireModel):
    invoices: list[InvoiceShape] = Field(description="Newest first.")
    limit: int = Field(description="How many a page holds.", examples=[50])
    has_next: bool = Field(description="There are more.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class CloseRequest(WireModel):
    organization_id: str = Field(
        max_length=40, description="Whose month is closed.", examples=["org_01k0000000000000000000000a"]
    )
    period: str = Field(max_length=7, description="Month, in Paris.", examples=["2026-10"])
    issue: bool = Field(default=True, description="Issue the invoice when nothing holds it.", examples=[True])


class CloseAnswer(WireModel):
    invoice: InvoiceShape | None = Field(description="The month's invoice; null when nothing was used.")
    credit_notes: list[InvoiceShape] = Field(
        description="Credit notes for earlier months that cost less now than was billed."
    )
    supplements: list[InvoiceShape] = Field(
        description="Invoices for earlier months that cost more now and were supplied by another VAT."
    )
    is_new: bool = Field(
        description="False when the month was closed before: then nothing changed.", examples=[True]
    )


class HoldRequest(WireModel):
    reason: str = Field(
        min_length=1, max_length=300, description="Why.", examples=["Customer disputes usage."]
    )


class DepositRequest(WireModel):
    net: AmountText = Field(description="Amount before VAT, in EUR.", examples=["1000.00"])
    label: str = Field(
        min_length=1, max_length=150, description="What it is for; printed.", examples=["Crédit 2027"]
    )

    def minor(self) -> int:
        return minor_of(self.net)


class CreditLine(WireModel):
    position: int = Field(ge=1, description="Line of the invoice.", examples=[1])
    net: AmountText = Field(
        description="Amount before VAT to give back, in the invoice's currency.", examples=["10.00"]
    )

    def to_domain(self) -> tuple[int, int]:
        return self.position, minor_of(self.net)


class CreditNoteRequest(WireModel):
    reason: str = Field(
        min_length=1, max_length=200, description="Why; printed.", examples=["Service interrompu"]
    )
    lines: list[CreditLine] | None = Field(
        default=None, max_length=5_000, description="Parts to give back; null: the whole invoice."
    )


class VatAnswerRequest(WireModel):
    organization_id: str = Field(
        max_length=40, description="Whose number it is.", examples=["org_01k0000000000000000000000a"]
    )
    vat_id: str = Field(min_length=4, max_length=16, description="VAT number.", examples=["DE123456788"])
    status: VatIdStatus = Field(description="What VIES said.", examples=["VALID"])
    consultation_number: str = Field(
        default="", max_length=100, description="Proof that VIES gives.", examples=["WAPIAAAAX1"]
    )
    is_simulated: bool = Field(default=False, description="No authority gave this answer.", examples=[True])


class VatAnswerReply(WireModel):
    vat_id: str = Field(description="VAT number.", examples=["DE123456788"])
    status: VatIdStatus = Field(description="What was recorded.", examples=["VALID"])
    checked_at: datetime = Field(description="When.", examples=["2026-11-02T09:00:00Z"])


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
