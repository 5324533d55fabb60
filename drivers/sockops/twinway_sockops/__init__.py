"""The socket path: Services and policy at the cgroup socket hooks."""
