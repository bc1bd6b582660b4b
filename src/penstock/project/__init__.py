"""A project folder read into a Project: YAML in, checked nouns out, every error with file, line and column."""
