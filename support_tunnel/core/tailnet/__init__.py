"""Who reaches whom in the network of a Headscale server, as values and as the one policy text that says so.

`labels` makes names that a tag can carry, `passage` is one consented way, `policy` writes and reads the text, `proofs` are the tests
that go with it, `change` adds and removes one tunnel. Pure: nothing here knows a server.
"""

from support_tunnel.core.tailnet.change import with_passage, without_device
from support_tunnel.core.tailnet.labels import label
from support_tunnel.core.tailnet.passage import Passage
from support_tunnel.core.tailnet.policy import read_policy, write_policy
from support_tunnel.core.tailnet.proofs import Member

__all__ = ["Member", "Passage", "label", "read_policy", "with_passage", "without_device", "write_policy"]
