"""The source that reads manifests from files and watches them."""
