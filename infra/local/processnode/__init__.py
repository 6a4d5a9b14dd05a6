"""A Kubernetes node whose pods are local processes: the part of the local stack that really runs things."""
