"""Admin side: `fab --list`."""

from support_tunnel.cli.admin_tasks import namespace

ns = namespace()
