"""Statistics: pure functions over raw samples. Each one cites where it comes from."""
