"""Small scripts that no role is made of: what a host has, what a session left on it, and how it is cut.

They run through the same port as roles (stdin of `sh -s`). Answers are lines `key<TAB>value`; keys are constants here. The
only text that varies is names derived from a tunnel id (hex by construction) and argument lists, which are quoted.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from support_tunnel.core.errors import HostError
from support_tunnel.core.names import DEVICE_LOG_FOLDER, Names
from support_tunnel.core.ports import Shell
from support_tunnel.core.secret import Secret

__all__ = [
    "capabilities",
    "cut",
    "end_request_after",
    "forget_request_timer",
    "handshake",
    "leftovers",
    "limits",
    "logins",
    "read",
    "server_keys",
    "session_state",
    "start_keeper",
    "stop_keeper",
    "sweep_names",
    "taken",
    "traces",
    "undo_folder",
]

_RUN = "/run/support_tunnel"
_OUR_COMMENT = ":support-tunnel session:"
"""In the account's line of passwd(5). Whatever lacks such a mark belongs to somebody else, whatever it is called."""


def read(shell: Shell, script: Secret[str], *, timeout: float) -> dict[str, str]:
    """Run a probe and return its lines; a repeated key keeps its values, one a line.

    Raises HostError `probe.failed` with the host's own words when the script fails.
    """
    completed = shell.run_script(script, timeout=timeout)
    if completed.status != 0:
        words = completed.stderr.strip().splitlines()
        raise HostError("probe.failed", f"a check on the host failed: {words[-1] if words else completed.status}")
    found: dict[str, str] = {}
    for line in completed.stdout.splitlines():
        key, tab, value = line.partition("\t")
        if tab:
            found[key] = f"{found[key]}\n{value}" if key in found else value
    return found


def undo_folder(names: Names) -> str:
    """Where the undo journal of this session lies: tmpfs, beside the session's own folder, not inside it."""
    return f"{_RUN}/undo-{names.short}"


def server_keys() -> Secret[str]:
    """Keys `ssh` and `wireguard`: the public halves of what the tunnel server made for itself."""
    return Secret(
        r"""set -eu
ssh=$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key_tunnel.pub)
wireguard=$(cat /etc/wireguard/st0.pub)
printf 'ssh\t%s\nwireguard\t%s\n' "$ssh" "$wireguard"
"""
    )


def capabilities() -> Secret[str]:
    """What a session needs: keys `missing` (a program a line), `systemd` and `systemd-version`, `kex` (what ssh knows, a line
    each), `uid`, `wireguard` (kernel or go), `tun`, `ipv6` (on, where new interfaces get it), `run` (its kind of file system)
    and `run-writable`."""
    return Secret(
        r"""PATH=$PATH:/usr/sbin:/sbin
for program in ip nft wg pgrep pkill sshd useradd systemctl systemd-run; do
    command -v "$program" >/dev/null 2>&1 || printf 'missing\t%s\n' "$program"
done
[ -d /run/systemd/system ] && printf 'systemd\trunning\n'
ssh -Q kex 2>/dev/null | while IFS= read -r name; do printf 'kex\t%s\n' "$name"; done
say() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
say uid "$(id -u)"
say systemd-version "$(systemctl --version 2>/dev/null | head -n 1)"
if [ -d /sys/module/wireguard ] || modprobe -n -q wireguard 2>/dev/null; then say wireguard kernel
elif command -v wireguard-go >/dev/null 2>&1; then say wireguard go; fi
[ -c /dev/net/tun ] && say tun there
[ "$(cat /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null)" = 0 ] && say ipv6 on
say run "$(stat -f -c %T /run)"
[ -w /run ] && say run-writable yes
:
"""
    )


def handshake(names: Names) -> Secret[str]:
    """Key `handshake`: epoch of the last WireGuard handshake on the session's interface, absent before the first; `gone` when
    there is no such interface."""
    return Secret(
        rf"""ip link show {names.interface} >/dev/null 2>&1 || printf 'gone\tyes\n'
wg show {names.interface} latest-handshakes | while read -r _ when; do
    [ "$when" -gt 0 ] && printf 'handshake\t%s\n' "$when"
done
exit 0
"""
    )


def start_keeper(names: Names, command: Sequence[str]) -> Secret[str]:
    """Start the unit that outlives the session's and cleans up after it, however either of them ends.

    `command` is called with `keep TUNNEL` to watch and with `end TUNNEL` from ExecStopPost: systemd runs that when the
    keeper exits, crashes, is killed or is stopped, and BindsTo stops the keeper when the session's unit goes. Not After=: in
    `systemctl stop 'st-*'` the session's stop would then wait for the keeper's, whose ending waits for the session's.
    """
    keep, end = _unit_words(command, "keep", names), _unit_words(command, "end", names)
    return Secret(
        rf"""set -eu
systemctl is-active --quiet {names.keeper_unit} && exit 0
systemd-run --quiet --collect --unit={names.keeper_unit} --description='support-tunnel keeper {names.short}' \
    -p BindsTo={names.session_unit} -p KillSignal=SIGKILL -p TimeoutStopSec=60 -p UMask=0077 -p LimitCORE=0 \
    -p ExecStopPost={shlex.quote(end)} {keep}
"""
    )


def _unit_words(command: Sequence[str], what: str, names: Names) -> str:
    """systemd puts variables in place of $NAME in the words of a command; $$ is a dollar sign (systemd.service(5))."""
    return shlex.join([*(word.replace("$", "$$") for word in command), what, names.tunnel])


def end_request_after(names: Names, command: Sequence[str], seconds: int) -> Secret[str]:
    """Have systemd call `command` with `expire TUNNEL` once, so many seconds from now: no tool watches a request that waits."""
    return Secret(
        rf"""set -eu
systemctl is-active --quiet {names.request_unit}.timer && exit 0
systemd-run --quiet --collect --unit={names.request_unit} --description='support-tunnel request {names.short}' \
    --on-active={seconds} --timer-property=AccuracySec=1s -p UMask=0077 -p LimitCORE=0 \
    {_unit_words(command, "expire", names)}
"""
    )


def forget_request_timer(names: Names) -> Secret[str]:
    """Nothing is left to end for the timer of `end_request_after`."""
    return Secret(f"systemctl stop {names.request_unit}.timer 2>/dev/null\nexit 0\n")


def stop_keeper(names: Names) -> Secret[str]:
    """Stop the keeper and wait for its ExecStopPost, also when that runs already; nothing to do when it is gone."""
    return Secret(f"systemctl stop {names.keeper_unit} 2>/dev/null\nexit 0\n")


def session_state(names: Names) -> Secret[str]:
    """Keys `session`, `tunnel`, `keeper`: what systemd says of each unit (active, inactive, failed ...)."""
    return Secret(
        rf"""for pair in session:{names.session_unit} tunnel:{names.tunnel_unit} keeper:{names.keeper_unit}; do
    printf '%s\t%s\n' "${{pair%%:*}}" "$(systemctl is-active "${{pair#*:}}" 2>/dev/null)"
done
exit 0
"""
    )


def limits(names: Names) -> Secret[str]:
    """Key `limit`, one line a limit of the session's unit that this system enforces.

    Those of a control group (`memory`, `tasks`) hold only where systemd was given its controllers: it counts then.
    """
    return Secret(
        rf"""systemctl show -p MemoryCurrent,TasksCurrent,LimitNPROC,LimitFSIZE {names.session_unit} 2>/dev/null |
while IFS='=' read -r name value; do
    case $value in ''|*[!0-9]*|18446744073709551615) continue ;; esac
    case $name in
        MemoryCurrent) printf 'limit	memory
' ;;
        TasksCurrent) printf 'limit	tasks
' ;;
        LimitNPROC) printf 'limit	processes
' ;;
        LimitFSIZE) printf 'limit	file-size
' ;;
    esac
done
exit 0
"""
    )


def logins(names: Names) -> Secret[str]:
    """Key `login`, one line each: address, kind and fingerprint of the key, and what sshd says of a certificate. No line twice.

    By the unit, which only sshd writes into: in the session there is no way to the system's log. Few, since a session has few keys.
    """
    return Secret(
        rf"""journalctl --quiet --no-pager --output=cat --unit={names.session_unit} 2>/dev/null |
    sed -n 's/^Accepted publickey for {names.user} from \([^ ]*\) port [0-9]* ssh2: /login	\1 /p' | sort -u | head -n 64
exit 0
"""
    )


def cut(names: Names) -> Secret[str]:
    """Cut the session at once, in the order of 2.13: interface, processes without grace, firewall table.

    No SIGTERM first: a job that ignores it must not buy time. Every step runs even if one fails; a repeat changes nothing.
    """
    return Secret(
        rf"""ip link delete {names.interface} 2>/dev/null
systemctl kill --signal=KILL --kill-whom=all {names.session_unit} 2>/dev/null
if getent passwd {names.user} | grep -q '{_OUR_COMMENT}'; then
    # Only in this machine's own process namespace: a container here may use the same number for a user of its own.
    tries=0
    while pkill -KILL --ns $$ --nslist pid -u {names.user} 2>/dev/null && [ $tries -lt 200 ]; do tries=$((tries + 1)); done
fi
systemctl stop {names.session_unit} {names.tunnel_unit} 2>/dev/null
systemctl reset-failed {names.session_unit} {names.tunnel_unit} 2>/dev/null
nft delete table inet {names.interface} 2>/dev/null
exit 0
"""
    )


def sweep_names(names: Names) -> Secret[str]:
    """Remove by name what an undo journal lost in a power cut cannot name any more: the account, files in /run."""
    return Secret(
        rf"""if getent passwd {names.user} | grep -q '{_OUR_COMMENT}'; then userdel {names.user}; fi
# The group comes before the account and says nothing of whose it is; our log of this session, on disk before either, does.
if [ -e {DEVICE_LOG_FOLDER}/{names.short}.jsonl ] && ! getent passwd {names.user} >/dev/null &&
    getent group {names.user} >/dev/null; then groupdel {names.user}; fi
systemctl stop {names.request_unit}.timer 2>/dev/null
rm -f /run/systemd/system/{names.session_unit} /run/systemd/system/{names.tunnel_unit}
rm -rf {_RUN}/{names.short} {undo_folder(names)}
systemctl daemon-reload 2>/dev/null
rmdir {_RUN}/vault {_RUN} 2>/dev/null
exit 0
"""
    )


def leftovers(names: Names) -> Secret[str]:
    """Key `left`, one line a thing that still carries this session's name; none when it is clean."""
    return Secret(
        rf"""left() {{ printf 'left\t%s\n' "$1"; }}
ip link show {names.interface} >/dev/null 2>&1 && left 'interface {names.interface}'
nft list table inet {names.interface} >/dev/null 2>&1 && left 'nft table {names.interface}'
getent passwd {names.user} >/dev/null && left 'account {names.user}'
getent group {names.user} >/dev/null && left 'group {names.user}'
pgrep --ns $$ --nslist pid -u {names.user} >/dev/null 2>&1 && left 'processes of {names.user}'
for unit in {names.session_unit} {names.tunnel_unit} {names.request_unit}.timer; do
    case $(systemctl is-active "$unit" 2>/dev/null) in active|activating|deactivating) left "unit $unit" ;; esac
    [ -e "/run/systemd/system/$unit" ] && left "unit file $unit"
done
for path in {_RUN}/{names.short} {undo_folder(names)}; do [ -e "$path" ] && left "$path"; done
exit 0
"""
    )


def taken(names: Names) -> Secret[str]:
    """Key `left`, one line a thing that has a name which this session would need, whoever made it."""
    units = shlex.join([names.session_unit, names.tunnel_unit, names.keeper_unit])
    return Secret(
        leftovers(names).reveal().removesuffix("exit 0\n")
        + f"""systemctl list-unit-files --plain --no-legend {units} 2>/dev/null |
    while read -r unit _; do left "unit $unit"; done
exit 0
"""
    )


def traces() -> Secret[str]:
    """Key `short`, one line (with repeats) for each 8-digit name of a session that anything of ours on this device carries.

    Ours is what says so itself: the account by its comment, interface and nft table as the role device_tunnel marks them, units
    by their description; a group by the log of its session.
    """
    return Secret(
        rf"""name() {{ sed -n 's/^st-\{{0,1\}}\([0-9a-f]\{{8\}}\)\(-[a-z]*\)\{{0,1\}}\(\.[a-z]*\)\{{0,1\}}$/\1/p'; }}
{{
    getent passwd | grep '{_OUR_COMMENT}' | cut -d: -f1 | name
    getent group | cut -d: -f1 | name | while read -r short; do
        [ ! -e {DEVICE_LOG_FOLDER}/$short.jsonl ] || echo "$short"
    done
    ip -o link show | grep -F 'alias support-tunnel' | cut -d: -f2 | tr -d ' ' | name
    nft list chains inet 2>/dev/null |
        awk '$1 == "table" {{ table = $3 }} $1 == "chain" && $2 == "support_tunnel" {{ print table }}' | name
    grep -ils '^Description="\{{0,1\}}support[- ]tunnel' /run/systemd/system/st-*.service /run/systemd/transient/st-*.* |
        sed 's|.*/||' | name
    ls {_RUN} 2>/dev/null | sed -n 's/^\(undo-\)\{{0,1\}}\([0-9a-f]\{{8\}}\)$/\2/p'
}} | while IFS= read -r short; do printf 'short\t%s\n' "$short"; done
exit 0
"""
    )
