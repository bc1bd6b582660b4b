"""The nouns of Penstock, its ports, errors and limits. No I/O."""
