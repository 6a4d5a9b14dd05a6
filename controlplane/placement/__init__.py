"""Where a demand may run and where it runs best: pure decisions with their explanation, no tables."""
