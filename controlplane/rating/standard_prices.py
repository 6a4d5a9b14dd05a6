"""What a new installation sells: the standard price book, which the operator replaces by adding versions.

The amounts are Rempart's own examples, not a market's. Prices of tokens are for a million of them, prices of GPU
time for 3,600 seconds, so that no price needs more than six decimals (BT-149). Simulated capacity has SKUs that say so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from controlplane.rating.domain import STANDARD_BOOK, Plan, Price, PricingModel, Sku, Tier
from controlplane.rating.price_rules import make_per_unit

# 1 January 2026 in Paris: before anything was metered.
VALID_FROM: Final = datetime(2025, 12, 31, 23, tzinfo=UTC)
_MILLION: Final = Decimal(1_000_000)
_HOUR: Final = Decimal(3_600)

DEFAULT_PLAN: Final = Plan(
    "payg", "Paiement à l'usage", "Pay as you go", STANDARD_BOOK, None, Decimal(0), minimum_minor=0
)
PLANS: Final = (
    DEFAULT_PLAN,
    Plan("pro", "Pro", "Pro", STANDARD_BOOK, "plan.pro", Decimal(10), minimum_minor=0),
)


def _gpu(sku: str, name: str, price_hour: str, *, is_simulated: bool) -> tuple[Sku, Price]:
    french, english = (" (capacité simulée)", " (simulated capacity)") if is_simulated else ("", "")
    matches = {"sku": sku, "is_simulated": "true"} if is_simulated else {"sku": sku}
    return (
        Sku(
            f"gpu.{sku}.simulated" if is_simulated else f"gpu.{sku}",
            f"GPU {name} réservé à une instance{french}",
            f"{name} GPU held by an instance{english}",
            "gpu_seconds",
            "gpu_second",
            matches,
        ),
        make_per_unit(Decimal(price_hour), _HOUR),
    )


PRICED_SKUS: Final[tuple[tuple[Sku, Price], ...]] = (
    (
        Sku(
            "tokens.input", "Jetons en entrée d'un modèle", "Model input tokens", "input_tokens", "token", {}
        ),
        make_per_unit(Decimal("0.20"), _MILLION),
    ),
    (
        Sku(
            "tokens.output",
            "Jetons en sortie d'un modèle",
            "Model output tokens",
            "output_tokens",
            "token",
            {},
        ),
        make_per_unit(Decimal("0.60"), _MILLION),
    ),
    _gpu("nvidia-b300", "NVIDIA B300", "5.90", is_simulated=False),
    _gpu("nvidia-b300", "NVIDIA B300", "5.90", is_simulated=True),
    _gpu("nvidia-h100", "NVIDIA H100", "2.90", is_simulated=False),
    _gpu("nvidia-h100", "NVIDIA H100", "2.90", is_simulated=True),
    (
        Sku("plan.pro", "Abonnement mensuel Pro", "Pro monthly subscription", None, "month", {}),
        Price(PricingModel.FLAT, (Tier(None, Decimal("49.00")),)),
    ),
)
