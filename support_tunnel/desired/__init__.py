"""Ansible-format roles compiled into one POSIX script (docs/roles.md)."""
