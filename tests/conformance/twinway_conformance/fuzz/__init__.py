"""Random clusters and changes: the kernel against the reference model, and one driver against another."""
