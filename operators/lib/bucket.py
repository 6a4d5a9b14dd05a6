"""A token bucket: a steady rate with a bounded burst. Pure: the caller tells the time."""


class TokenBucket:
    """Grants `rate` tokens a second, at most `burst` at once.

    Units: seconds of one monotonic clock. `reserve` always grants, and says how long to wait first.
    """

    __slots__ = ("_burst", "_rate", "_tokens", "_updated_at")

    def __init__(self, rate: float, burst: float) -> None:
        assert rate > 0
        assert burst >= 1
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._updated_at: float | None = None

    def reserve(self, now: float) -> float:
        """Take one token; seconds to wait before using it (0 when one was there)."""
        self._refill(now)
        self._tokens -= 1
        return 0.0 if self._tokens >= 0 else -self._tokens / self._rate

    def try_take(self, now: float) -> float:
        """Take one token if one is there (0), else take none; seconds until one will be there."""
        self._refill(now)
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was left at the last look."""
        return self._tokens < 1

    def _refill(self, now: float) -> None:
        if self._updated_at is not None and now > self._updated_at:
            self._tokens = min(self._burst, self._tokens + (now - self._updated_at) * self._rate)
        if self._updated_at is None or now > self._updated_at:
            self._updated_at = now
