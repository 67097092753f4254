"""The mailbox service: a mailbox with a clock, never a root of trust (docs/protocol.md, section 2.1)."""
