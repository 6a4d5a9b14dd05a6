"""Which keys this process has seen lately, so that a key's use costs a write a minute and not one a request."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock

from controlplane.kernel.ids import ApiKeyId

USE_RECORDED_EACH = timedelta(minutes=1)
# Some 2 MB; a key that falls out is merely recorded once more.
KEYS_REMEMBERED_MAX = 10_000


class RecentUses:
    """Shared by the request threads of one process."""

    def __init__(self) -> None:
        self._noted: OrderedDict[ApiKeyId, datetime] = OrderedDict()
        self._lock = Lock()

    def is_due(self, key_id: ApiKeyId, now: datetime) -> bool:
        """True at most once in USE_RECORDED_EACH for a key: the caller then records the use."""
        with self._lock:
            noted = self._noted.get(key_id)
            if noted is not None and timedelta(0) <= now - noted < USE_RECORDED_EACH:
                return False
            self._noted[key_id] = now
            self._noted.move_to_end(key_id)
            if len(self._noted) > KEYS_REMEMBERED_MAX:
                self._noted.popitem(last=False)
            return True
