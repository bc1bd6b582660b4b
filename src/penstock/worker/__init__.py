"""The worker door: a supervisor that holds leases, and the runner processes that do the work."""
