"""Virtual machines that boot other kernels with this very tree."""
