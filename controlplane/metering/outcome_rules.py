"""Which calls are billed, by how they ended. Pure: metering counts by it, and the price list shows its sentence.

Source: Code de commerce art. L441-1 (conditions of price are told beforehand). Envoy logs status 0 where no answer had
begun, and 499 is the usual word for a caller that left.
"""

from __future__ import annotations

from typing import Final

CALLER_LEFT: Final = 499

# The rule as a tenant reads it (`GET /v1/prices`, docs/tenants/what-is-billed.md).
BILLED_CALLS_FR: Final = (
    "Un appel est facturé si la réponse a un statut inférieur à 400, ou si l'appelant est parti après le début de la "
    "réponse : ses jetons comptent tels que produits. Un appel sans réponse, ou avec un statut de 400 ou plus, est "
    "gratuit ; ses jetons restent visibles dans l'usage, à part."
)
BILLED_CALLS_EN: Final = (
    "A call is billed if its answer has a status below 400, or if the caller left after the answer had begun: its "
    "tokens count as they were produced. A call without an answer, or with a status of 400 or more, is free of charge; "
    "its tokens stay visible in the usage, apart."
)


def is_failed(status: int) -> bool:
    """Tell whether a call got no good answer: it is shown as failed and never counted as a request."""
    return not 100 <= status < 400


def is_billed(status: int, *, is_disconnected: bool, output_tokens: int | None) -> bool:
    """Tell whether a call's tokens are billed. `output_tokens` None: nobody counted any.

    An error of 400 or more is never the caller's to pay, also where it left before it had read it.
    """
    if not is_failed(status):
        return True
    has_left = status == CALLER_LEFT or (status == 0 and is_disconnected)
    return has_left and bool(output_tokens)
