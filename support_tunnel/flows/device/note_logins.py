"""Put into the session's log who has logged in: with which key, from where. sshd says it; the log is what nobody can edit later.

Once for each key and place, so that a helper who logs in all day long fills no disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from support_tunnel.core.errors import HostError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.desired import probes
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record

__all__ = ["note_logins"]

_NOTED: Final = "logins"
_LOGIN: Final = re.compile(
    r"(?P<place>\S+) [A-Z0-9-]+ (?P<fingerprint>SHA256:[A-Za-z0-9+/]{43})(?: ID (?P<key_id>.{1,256}) \(serial [0-9]+\) CA .*)?"
)
"""What `auth_log` of sshd says after `from`, with the port left out (auth.c of OpenSSH); an ID where a certificate was shown."""


def note_logins(ports: DevicePorts, tunnel: TunnelId, record: Record) -> None:
    """Append a line for each login that is new since the last call. A host that cannot tell keeps nobody's session from going on."""
    noted = _noted(ports, tunnel)
    with suppress(HostError):
        seen = probes.read(ports.shell, probes.logins(Names(tunnel)), timeout=20).get("login", "").splitlines()
        for login in seen:
            if login not in noted and (said := _LOGIN.fullmatch(login)):
                ports.journal.append(tunnel, "logged-in", _who(said, record))
                noted.append(login)
                ports.vault.put(tunnel, _NOTED, Secret(json.dumps(noted).encode()))


def _noted(ports: DevicePorts, tunnel: TunnelId) -> list[str]:
    stored = ports.vault.get(tunnel, _NOTED)
    with suppress(ValueError):
        return [str(one) for one in json.loads(stored.reveal())] if stored else []
    return []


def _who(said: re.Match[str], record: Record) -> Mapping[str, str]:
    """A helper by the key that the owner read; whoever else has a key of this session is the admin, or named by a certificate."""
    names = {helper.fingerprint: helper.name for helper in record.helpers}
    words = {"fingerprint": said["fingerprint"], "from": said["place"]}
    if said["key_id"]:
        words["key_id"] = said["key_id"]
    name = names.get(said["fingerprint"]) or ("" if said["key_id"] else record.admin_name)
    return {"who": name, **words} if name else words
