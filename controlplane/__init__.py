"""Rempart's control plane: a base, a fleet wing, a money wing, and a gateway; see docs/house.md."""
