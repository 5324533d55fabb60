"""Where programs are attached, and what a kernel must offer for that."""
