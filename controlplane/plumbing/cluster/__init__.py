"""The only door from the control plane to Kubernetes."""

from controlplane.plumbing.cluster.client import ClusterGone, ClusterRefused, Clusters, Manifest, WatchEvent

__all__ = ["ClusterGone", "ClusterRefused", "Clusters", "Manifest", "WatchEvent"]
