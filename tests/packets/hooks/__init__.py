"""Where programs are attached, and which devices they belong at: twinway_bpf.attach and twinway_bpf.netlink."""
