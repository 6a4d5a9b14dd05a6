"""The story that `make demo` tells, on real parts, unattended."""
