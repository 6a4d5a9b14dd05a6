"""A seller that does not exist, for installations without a company of their own. Every fact is made up.

The SIREN passes its check digit and carries the demo mark on each document; an operator puts its own facts in its
place (`PUT /v1/admin/seller`) before a real invoice leaves.
"""

from __future__ import annotations

from typing import Final

from controlplane.invoicing.domain import PostalAddress, Seller

DEMO_SELLER: Final = Seller(
    legal_name="Rempart Démonstration SAS",
    legal_form="Société par actions simplifiée",
    capital_minor=10_000_000,
    siren="100000009",
    siret="10000000900017",
    rcs_city="Paris",
    vat_id="FR88100000009",
    address=PostalAddress("1 rue de la Démonstration", "", "75001", "Paris", "FR"),
    iban="FR7630006000011234567890189",
    bic="AGRIFRPPXXX",
    electronic_address="100000009",
    contact_email="facturation@example.com",
    number_prefix="DEMO",
    payment_days=30,
    # Legal interest for businesses was 2.62 % in the first half of 2026 (arrêté of 2025-12-15): the floor is 7.86 %.
    late_rate="taux de refinancement de la BCE majoré de 10 points, au moins trois fois l'intérêt légal",
    is_vat_on_debits=False,
    is_demo=True,
)
