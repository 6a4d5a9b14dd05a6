"""Issued invoices as files: EN 16931 CII, validated, inside PDF/A-3, archived once, handed to the platform."""
