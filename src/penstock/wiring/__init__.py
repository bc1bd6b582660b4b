"""The composition root: the only room that knows every adapter, and the only one that reads settings."""
