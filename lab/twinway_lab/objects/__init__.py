"""The objects of a lab's cluster, completed as a cluster's controllers would."""
