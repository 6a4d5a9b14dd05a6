"""The whole of Rempart on one machine, each part real; what is simulated says so."""
