"""Network devices and namespaces, as the kernel reports them."""
