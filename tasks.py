"""Device side: `inv --list`."""

from support_tunnel.cli.device.tasks import namespace

ns = namespace()
