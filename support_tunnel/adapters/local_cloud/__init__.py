"""Real hosts on this machine, as a libcloud driver (docs/local-cloud.md)."""
