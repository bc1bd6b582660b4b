"""Carrying plans out: what is ready, one attempt at a time, and what a task may reach meanwhile."""
