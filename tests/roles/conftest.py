"""Programs that roles under test bring to hosts, as set-up found them."""

from tests.headscale.conftest import tools

__all__ = ["tools"]
