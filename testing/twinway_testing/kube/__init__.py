"""A real Kubernetes cluster on one machine, and the official e2e suite against it."""
