"""Who owns and controls what, under which certificates: facts, requirements, verdicts with their why-paths."""
