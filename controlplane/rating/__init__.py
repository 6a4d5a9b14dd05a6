"""Rating: what usage costs, by prices that never change after the fact."""
