"""The domain: no I/O, no clock, no randomness that is not an argument or `secrets`."""
