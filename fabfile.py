"""Admin side: `fab --list`."""

from support_tunnel.cli.admin.tasks import namespace

ns = namespace()
