"""Payment terms of monthly invoices, and the sentences that the law wants about them.

Source: C. com. L441-10 (45 days for periodic invoices; penalty rate at least 3 × legal interest, by default the ECB's
rate + 10 points; 40 € for recovery), D441-5, L441-9 I (discount).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from controlplane.kernel.errors import InvalidInput

# C. com. L441-10 I, fifth paragraph: a periodic invoice is due at most 45 days after its date.
PERIODIC_PAYMENT_DAYS_MAX: Final = 45
# D441-5.
RECOVERY_EUR: Final = 40


def due_on(issued_on: date, payment_days: int) -> date:
    """BT-9; InvalidInput when the term is longer than the law allows for periodic invoices."""
    if not 0 <= payment_days <= PERIODIC_PAYMENT_DAYS_MAX:
        raise InvalidInput(
            f"A periodic invoice is due within {PERIODIC_PAYMENT_DAYS_MAX} days of its date (C. com. L441-10 I)."
        )
    return issued_on + timedelta(days=payment_days)


def payment_terms_text(payment_days: int) -> str:
    """BT-20."""
    return f"Paiement par virement sous {payment_days} jours à compter de la date de facture."


def recovery_text() -> str:
    """Note PMT."""
    return (
        f"Indemnité forfaitaire pour frais de recouvrement en cas de retard de paiement : {RECOVERY_EUR} €."
    )


def penalty_text(late_rate: str) -> str:
    """Note PMD; `late_rate` is the seller's agreed rate in words."""
    return f"Pénalités de retard exigibles sans rappel dès le lendemain de l'échéance : {late_rate}."


def discount_text() -> str:
    """Note AAB: none is granted, and that must be said."""
    return "Aucun escompte n'est accordé en cas de paiement anticipé."
