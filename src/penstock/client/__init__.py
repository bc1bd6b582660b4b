"""The typed HTTP client that the command line and other programs use."""
