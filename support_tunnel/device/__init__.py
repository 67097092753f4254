"""What runs on the device during a session."""
