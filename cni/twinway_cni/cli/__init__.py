"""The words `twinway cni …`."""
