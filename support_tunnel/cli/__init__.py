"""Tasks, settings, output, wiring: the only layer that knows everyone."""
