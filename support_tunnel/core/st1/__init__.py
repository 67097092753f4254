"""ST1, the bootstrap protocol (docs/protocol.md). Import the modules by name; this one imports nothing, so that core can use parts."""
