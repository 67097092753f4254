"""ST1, the bootstrap protocol (docs/protocol.md)."""
