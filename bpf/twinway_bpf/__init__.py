"""The kernel side of twinway: BPF sources, compiler, loader, table sync."""
