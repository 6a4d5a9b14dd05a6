"""One durable path for what is metered: append-only segments, and what carries them to the usage ingest."""
