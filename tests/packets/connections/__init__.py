"""Connections, in tables and in the kernel: conntrack.h, ending.h, share.h, and twinway_bpf.connections."""
