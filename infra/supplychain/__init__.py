"""What production is made of, and whether a known fault is among it."""
