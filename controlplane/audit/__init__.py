"""Who did what, when: append-only, hash-chained per tenant, verifiable without this server."""
