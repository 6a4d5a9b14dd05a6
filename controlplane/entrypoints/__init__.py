"""Programs: each wires settings, plumbing and rooms together and holds no rule of its own."""
