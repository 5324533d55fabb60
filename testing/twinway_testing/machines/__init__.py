"""Virtual machines that boot other kernels with this tree."""
