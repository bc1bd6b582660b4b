"""Settings for the tests of what runs in children."""

from hypothesis import settings

# How long one example takes says nothing on a machine that does other things too: times belong to `make bench`.
# No database: the suite also runs as a user who cannot write into this tree.
settings.register_profile("unhurried", deadline=None, database=None)
settings.load_profile("unhurried")
