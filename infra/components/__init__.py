"""Rempart on a cluster, as code: components over the charts of `helm/`."""
