"""What is to be done, decided before anything is done. Pure: no I/O."""
