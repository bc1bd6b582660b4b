"""Settings for the tests of what runs in children."""

from hypothesis import settings

# How long one example takes says nothing on a machine that does other things too: times belong to `make bench`.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
