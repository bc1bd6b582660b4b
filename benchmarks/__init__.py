"""The speed that Penstock promises, measured beside its peers on this machine: `python -m benchmarks`."""
