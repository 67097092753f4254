"""The seams: what flows may ask of the world. Each has an adapter, and a fake in `support_tunnel.testing`.

Times are aware UTC datetimes; durations are seconds. A port call is also a fault point: tests fail, hang or kill at each.
"""

from __future__ import annotations

from support_tunnel.core.ports.certifying import Certifier
from support_tunnel.core.ports.clock import Clock
from support_tunnel.core.ports.cloud import Cloud, Login, OpenPort, Server, ServerSpec
from support_tunnel.core.ports.coordinating import (
    ApiKey,
    Coordinator,
    CoordinatorUser,
    JoinKey,
    MintedApiKey,
    MintedJoinKey,
    Node,
    StoredPolicy,
)
from support_tunnel.core.ports.device_disk import Acquaintances, Journal, LoggedSession, Met
from support_tunnel.core.ports.hooks import HookRun, Hooks
from support_tunnel.core.ports.hosts import (
    Completed,
    Connector,
    Door,
    Hops,
    ServerShell,
    Shell,
    ThroughOwnNode,
    ThroughServer,
)
from support_tunnel.core.ports.images import Image, Images
from support_tunnel.core.ports.keeping import Account, Ledger, LedgerEntry, Stage, Vault
from support_tunnel.core.ports.looking import ApiLook, ApiSeen
from support_tunnel.core.ports.mailbox import LONGEST_LIFE, LONGEST_POLL, Blob, Mailbox, Slot, TunnelRow
from support_tunnel.core.ports.own_node import Joining, OwnNode, Way
from support_tunnel.core.ports.people import Progress, Prompt, Question, SecretPrompt

__all__ = [
    "LONGEST_LIFE",
    "LONGEST_POLL",
    "Account",
    "Acquaintances",
    "ApiKey",
    "ApiLook",
    "ApiSeen",
    "Blob",
    "Certifier",
    "Clock",
    "Cloud",
    "Completed",
    "Connector",
    "Coordinator",
    "CoordinatorUser",
    "Door",
    "HookRun",
    "Hooks",
    "Hops",
    "Image",
    "Images",
    "JoinKey",
    "Joining",
    "Journal",
    "Ledger",
    "LedgerEntry",
    "LoggedSession",
    "Login",
    "Mailbox",
    "Met",
    "MintedApiKey",
    "MintedJoinKey",
    "Node",
    "OpenPort",
    "OwnNode",
    "Progress",
    "Prompt",
    "Question",
    "SecretPrompt",
    "Server",
    "ServerShell",
    "ServerSpec",
    "Shell",
    "Slot",
    "Stage",
    "StoredPolicy",
    "ThroughOwnNode",
    "ThroughServer",
    "TunnelRow",
    "Vault",
    "Way",
]
