"""Usage: what the producers recorded, kept once and counted by the hour."""
