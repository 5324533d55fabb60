"""Common tools of the tests and the bench: namespaces, cgroups, packets, test runs of programs, other kernels."""
