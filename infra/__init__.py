"""Programs that install and run Rempart: the local stack, and what stands around it."""
