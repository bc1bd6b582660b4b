"""What runs in a child of the `heavy` class: an engine with threads and files, one process for one attempt."""
