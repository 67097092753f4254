"""A tunnel's place on a machine that others keep: claimed, listed, and given back, by scripts that run there as root.

A place is a folder in /run: whose it is (`tags`, as a cloud's), its ports, and the script that ends it. It appears by one rename, before
anything else of the tunnel does, so whoever has a login finds every tunnel there and can end it. A timer of the machine's own ends it
at its hour, and a reboot does. What the role tunnel_guest changes is recorded in an undo journal inside.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence

from support_tunnel.core.errors import CloudError, HostError
from support_tunnel.core.names import SHORT
from support_tunnel.core.ports import Shell
from support_tunnel.core.secret import Secret
from support_tunnel.desired import probes
from support_tunnel.desired.plan import Report
from support_tunnel.desired.shell import Code, body, call, lines
from support_tunnel.desired.undo import undo_report, undo_script

__all__ = ["FOLDER", "claim", "give_back", "guest_keys", "journal", "require_fit", "tunnels"]

FOLDER = "/run/support_tunnel_server"
_SECONDS = 60.0
_NEEDED = ("ip", "nft", "wg", "ss", "systemctl", "systemd-run")

_PROGRAMS = r"""for program in $needed; do command -v "$program" >/dev/null || { printf 'missing\t%s\n' "$program"; lacks=1; }; done
"""

_FITS = Code(rf"""{_PROGRAMS}set -- "$all"/*/tags
[ ! -f "$1" ] || [ "$#" -lt "$most" ] || printf 'full\t%s\n' "$#"
""")

_CLAIM = Code(
    "umask 077\n"
    + _PROGRAMS
    + r"""[ -z "$lacks" ] || exit 0
mkdir -p -- "$all" || exit
for port in $ports; do
  if [ -n "$(ss -Hlun "sport = :$port")" ] || grep -qx -- "$port" "$all"/*/ports 2>/dev/null; then printf 'taken\t%s\n' "$port"; lacks=1; fi
done
[ -z "$lacks" ] || { rmdir -- "$all" 2>/dev/null; exit 0; }
# What a claim that was killed had not yet named; nobody takes minutes for one.
find "$all" -maxdepth 1 -name '.new-*' -mmin +10 -exec rm -rf -- '{}' +
new=$(mktemp -d "$all/.new-XXXXXXXX") || exit
{ write_tags >"$new/tags" && printf '%s\n' $ports >"$new/ports" && write_end >"$new/end.sh"; } || { rm -rf -- "$new"; exit 1; }
# Fails where a place of this tunnel is there already.
mv -T -- "$new" "$all/$short" 2>/dev/null || { rm -rf -- "$new"; printf 'there\tyes\n'; exit 0; }
# Of two that looked at the same moment neither gets the port.
for port in $ports; do
  [ "$(grep -lx -- "$port" "$all"/*/ports | grep -c .)" -le 1 ] || { printf 'taken\t%s\n' "$port"; lacks=1; }
done
[ -z "$lacks" ] || { rm -rf -- "$all/$short"; exit 0; }
set -- "$all"/*/tags
if [ "$#" -gt "$most" ]; then rm -rf -- "$all/$short"; printf 'full\t%s\n' "$(($# - 1))"; exit 0; fi
# By the wall clock, and by one that nobody sets; again every minute until it is done. systemd never elapses an hour that is past.
[ "$(date +%s)" -lt "$expires" ] || lifetime=0
systemd-run --quiet --collect --unit="support-tunnel-$short-end" --timer-property=AccuracySec=1s --on-calendar="@$expires" \
  --on-active="$lifetime" --on-unit-inactive=60 /bin/sh "$all/$short/end.sh" || { rm -rf -- "$all/$short"; exit 1; }
printf 'made\tyes\n'
"""
)

_LIST = Code(r"""for tags in "$all"/*/tags; do
  [ ! -f "$tags" ] || printf 'tags\t%s\n' "$(base64 -w 0 "$tags")"
done
""")

_GIVEN_BACK = Code(r"""[ "$undone" = 0 ] || exit 1
systemctl stop "support-tunnel-$short-end.timer" 2>/dev/null
rm -rf -- "$all/$short" || exit
rmdir -- "$all" 2>/dev/null
exit 0
""")


def journal(short: str) -> str:
    """Where the undo journal of this tunnel lies."""
    return f"{FOLDER}/{short}/undo"


def claim(
    shell: Shell, tags: Mapping[str, str], ports: Sequence[int], *, expires: int, lifetime: int, most: int
) -> None:
    """Take a place for the tunnel of `tags`, until `expires` (seconds since 1970) or for `lifetime` seconds, whichever ends first.

    `ports` are its UDP ports, `most` how many tunnels may be there. Raises CloudError `cloud.programs`, `cloud.port`,
    `cloud.full`, `cloud.taken`; HostError when the script itself fails.
    """
    short = _short(tags)
    said = _asked(shell, _claim(short, tags, ports, expires, lifetime, most))
    _require_programs_and_room(said)
    if taken := said.get("taken"):
        raise CloudError(
            "cloud.port",
            f"something on the server uses UDP port {', '.join(taken.split())}",
            next_step="Try again; where it is 443, ask the owner for a request with --transport wireguard.",
        )
    if "made" not in said:
        raise CloudError(
            "cloud.taken", f"tunnel {short} has a place on the server already", next_step="Run `fab sweep`."
        )


def require_fit(shell: Shell, *, most: int) -> None:
    """Raise CloudError `cloud.programs`, `cloud.full` where no tunnel could have a place now. It takes none."""
    values = {"all": FOLDER, "needed": " ".join(_NEEDED), "most": str(most)}
    _require_programs_and_room(_asked(shell, _script(values, _FITS)))


def tunnels(shell: Shell) -> list[dict[str, str]]:
    """The tags of each tunnel that has a place there. Raises HostError when that cannot be read."""
    said = _asked(shell, _script({"all": FOLDER}, _LIST))
    found = []
    for line in said.get("tags", "").split():
        try:
            found.append({str(name): str(value) for name, value in json.loads(base64.b64decode(line)).items()})
        except (binascii.Error, ValueError, AttributeError):
            raise HostError(
                "probe.failed",
                f"what lies in {FOLDER} on the server is not ours to read",
                next_step="Look at it there.",
            ) from None
    return found


def give_back(shell: Shell, tags: Mapping[str, str]) -> Report:
    """Put back what the tunnel changed, then forget it; gone already is success. Raises HostError `converge.failed`."""
    report = undo_report(shell.run_script(Secret(_end(_short(tags))), timeout=_SECONDS))
    report.raise_for_failure("the server")
    return report


def guest_keys(short: str) -> Secret[str]:
    """Key `wireguard`: the public half of what the tunnel's unit made there."""
    return _script({"file": f"{FOLDER}/{short}/public"}, Code('printf \'wireguard\\t%s\\n\' "$(cat -- "$file")"\n'))


def _asked(shell: Shell, script: Secret[str]) -> dict[str, str]:
    try:
        return probes.read(shell, script, timeout=_SECONDS)
    except HostError as failed:
        if failed.next_step:
            raise
        step = "The login that the inventory names has to be root there, or become it by sudo without a password."
        raise HostError(failed.code, failed.message, next_step=step) from None


def _require_programs_and_room(said: Mapping[str, str]) -> None:
    if missing := said.get("missing"):
        raise CloudError(
            "cloud.programs",
            f"the server lacks {', '.join(missing.split())}",
            next_step="Have its keeper run: apt-get install nftables wireguard-tools iproute2",
        )
    if there := said.get("full"):
        raise CloudError(
            "cloud.full",
            f"the server holds {there} tunnels already, as many as it may",
            next_step="End one there (`fab list`, `fab sweep`), or name another cloud with --cloud.",
        )


def _short(tags: Mapping[str, str]) -> str:
    """Raises CloudError: the tags come from a machine of others, and name a folder that is removed."""
    short = tags.get("st-tunnel", "")[:8]
    if not SHORT.fullmatch(short):
        raise CloudError("cloud.foreign", "what lies on the server does not carry our tag, so it is not ours to end")
    return short


def _claim(
    short: str, tags: Mapping[str, str], ports: Iterable[int], expires: int, lifetime: int, most: int
) -> Secret[str]:
    values = {
        "all": FOLDER, "short": short, "needed": " ".join(_NEEDED), "ports": " ".join(map(str, ports)), "lacks": "",
        "expires": str(expires), "lifetime": str(lifetime), "most": str(most),
    }  # fmt: skip
    told = body(json.dumps(dict(tags)).encode())
    end = body(_end(short).encode())
    return _script(values, Code(f"write_tags() {{ {told.text}; }}\nwrite_end() {{ {end.text}; }}\n{_CLAIM.text}"))


def _end(short: str) -> str:
    """The text of the script that ends a place; also what the machine's own timer runs."""
    undone = undo_script(journal(short)).reveal()
    return f"{undone}undone=$?\n{_script({'all': FOLDER, 'short': short}, _GIVEN_BACK).reveal()}"


def _script(values: Mapping[str, str | Code], rest: Code) -> Secret[str]:
    given = [Code(f"{name}={call(value).text}") for name, value in values.items()]
    return Secret(lines([Code("PATH=$PATH:/usr/sbin:/sbin"), *given, rest]))
