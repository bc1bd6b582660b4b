"""What runs inside the sandbox: parsing, serialising and calling user code, in children that can do nothing else."""
