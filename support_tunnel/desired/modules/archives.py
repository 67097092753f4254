"""`unarchive` of a tar archive that lies on the host (`remote_src: true`). GNU tar judges what is there and unpacks, as with Ansible."""

from __future__ import annotations

from dataclasses import dataclass

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.modules.files import owner_and_group
from support_tunnel.desired.resource import Resource, key
from support_tunnel.desired.shell import FALSE, Code, any_of, call

__all__ = ["Unpacked", "read_unarchive"]


@dataclass(frozen=True, slots=True)
class Unpacked(Resource):
    """What an archive holds, below a folder that exists. Empty owner or group: as the archive says."""

    archive: str
    folder: str
    owner: str = ""
    group: str = ""
    creates: str | None = None

    def check(self) -> Code:
        there = call("test", "-e", self.creates) if self.creates else FALSE
        return any_of(there, call("st_is_unpacked", self.archive, self.folder, self.owner, self.group))

    def fix(self) -> Code:
        return call("st_unpack", self.archive, self.folder, self.owner, self.group)

    def record(self) -> Code:
        return call("st_record_tree", key("path", self.folder), self.folder)

    def library(self) -> str:
        return "supplies.sh"


def read_unarchive(args: Arguments) -> Resource:
    archive, folder = args.path("src"), args.path("dest")
    if not args.flag("remote_src", default=False):
        raise args.at("remote_src").unsupported("module 'unarchive' without 'remote_src: true'")
    if archive.lower().endswith(".zip"):
        raise args.at("src").unsupported("a zip archive in module 'unarchive'")
    creates = args.path("creates") if args.raw("creates") is not None else None
    return Unpacked(archive, folder, *owner_and_group(args), creates)
