"""Policies of every kind: from the API's dictionaries to `NetworkPolicy` and `ClusterPolicy`."""

from twinway.sources.decode_clusterpolicy import closed_cluster_policy, decode_cluster_policy
from twinway.sources.decode_networkpolicy import closed_network_policy, decode_network_policy

__all__ = ("closed_cluster_policy", "closed_network_policy", "decode_cluster_policy", "decode_network_policy")
