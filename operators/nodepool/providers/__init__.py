"""Who makes machines: the port (`base`) and its implementations. CONTRACT.md holds the numbered rules."""
