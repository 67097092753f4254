"""Device side: `inv --list`."""

from support_tunnel.cli.device_tasks import namespace

ns = namespace()
