"""Policies of every kind: from the API's dictionaries to `NetworkPolicy` and `ClusterPolicy`."""

from twinway.sources.decode_clusterpolicy import decode_cluster_policy
from twinway.sources.decode_networkpolicy import decode_network_policy

__all__ = ("decode_cluster_policy", "decode_network_policy")
