"""Payments received, and what they settle."""
