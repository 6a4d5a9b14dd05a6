"""Invoices and credit notes: drafted from rated lines, checked against the law, numbered without a gap."""
