"""One file a verb: ports called in order, no I/O of their own."""
