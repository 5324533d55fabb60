"""Random clusters and changes, which compare the kernel with the reference model, and drivers with each other."""
