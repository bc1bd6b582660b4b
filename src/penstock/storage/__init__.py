"""Where things are kept: records of runs, and files that appear whole or not at all."""
