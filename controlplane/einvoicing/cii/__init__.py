"""The CII D22B writer: one file a block of EN 16931."""

from controlplane.einvoicing.cii.document import (
    PROFILE_EN16931,
    PROFILE_EXTENDED_CTC_FR,
    profile_of,
    write_cii,
)

__all__ = ["PROFILE_EN16931", "PROFILE_EXTENDED_CTC_FR", "profile_of", "write_cii"]
