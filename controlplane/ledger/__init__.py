"""The ledger: append-only double entry in the French chart of accounts, and the FEC."""
