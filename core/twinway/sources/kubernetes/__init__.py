"""Objects from a Kubernetes API server: listed once, then watched."""
