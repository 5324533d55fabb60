"""A real API server with its etcd, and what twinway makes of it."""
