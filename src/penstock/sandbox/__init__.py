"""The sandbox: locked zygotes and single-use children, which alone touch tenant code and data."""
