"""The little that an agent writes to the API server: Events on rejected objects, and no startup taint."""
