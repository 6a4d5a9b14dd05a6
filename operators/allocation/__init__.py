"""Numbers the GPUs that pods hold and records how long: the source of GPU seconds."""

from operators.allocation.wiring import setup

__all__ = ["setup"]
