"""The sandbox: zygotes and single-use children, locked by Landlock and seccomp, that alone touch tenant code and data."""
