"""The HTTP door: requests become calls of use cases, results and errors become responses."""
