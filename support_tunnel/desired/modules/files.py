"""`file`, `copy` and `template`: directories, links, absence, and files with a content."""

from __future__ import annotations

from dataclasses import dataclass

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.resource import BODY, Resource, key
from support_tunnel.desired.shell import Code, call

__all__ = [
    "ACCOUNT",
    "Absent",
    "Content",
    "Directory",
    "Link",
    "owner_and_group",
    "read_copy",
    "read_file",
    "read_template",
]

ACCOUNT = r"[a-zA-Z_][a-zA-Z0-9_.-]{0,31}\$?|\d{1,10}"


@dataclass(frozen=True, slots=True)
class Content(Resource):
    """A regular file. Empty owner or group: as it is, or root's when it is new."""

    path: str
    content: bytes
    mode: str
    owner: str = ""
    group: str = ""

    def check(self) -> Code:
        return call("st_has", self.path, self.mode, self.owner, self.group, BODY)

    def fix(self) -> Code:
        return call("st_write", self.path, self.mode, self.owner, self.group, BODY)

    def record(self) -> Code:
        return call("st_record_path", key("path", self.path), self.path)

    def body(self) -> bytes:
        return self.content

    def show(self) -> Code:
        return call("cat", "--", self.path)


@dataclass(frozen=True, slots=True)
class Directory(Resource):
    """A directory; missing parents are made alike, as Ansible does."""

    path: str
    mode: str
    owner: str = ""
    group: str = ""

    def check(self) -> Code:
        return call("st_is_directory", self.path, self.mode, self.owner, self.group)

    def fix(self) -> Code:
        return call("st_directory", self.path, self.mode, self.owner, self.group)

    def record(self) -> Code:
        return call("st_record_directory", key("path", self.path), self.path)


@dataclass(frozen=True, slots=True)
class Link(Resource):
    path: str
    target: str

    def check(self) -> Code:
        return call("st_is_link", self.path, self.target)

    def fix(self) -> Code:
        return call("st_link", self.path, self.target)

    def record(self) -> Code:
        return call("st_record_path", key("path", self.path), self.path)


@dataclass(frozen=True, slots=True)
class Absent(Resource):
    path: str

    def check(self) -> Code:
        return call("st_is_absent", self.path)

    def fix(self) -> Code:
        return call("rm", "-rf", "--", self.path)

    def record(self) -> Code:
        return call("st_record_path", key("path", self.path), self.path)


def read_file(args: Arguments) -> Resource:
    path = args.path("path", "dest", "name")
    match args.choice("state", ("directory", "absent", "link")):
        case "absent":
            return Absent(path)
        case "link":
            return Link(path, args.text("src"))
        case _:
            return Directory(path, args.mode() or "", *owner_and_group(args))


def read_copy(args: Arguments) -> Resource:
    dest = args.path("dest")
    source, content = args.optional("src"), args.raw("content")
    if (source is None) == (content is None):
        raise args.wrong("dest", "give either 'content' or 'src'")
    if source is not None:
        data = args.folders.file(source, args.at("src"))
    elif isinstance(content, str):
        data = content.encode()
    else:
        raise args.wrong("content", "'content' must be a string; use 'to_json' or 'to_nice_yaml' for data")
    return Content(dest, data, args.mode() or "", *owner_and_group(args))


def read_template(args: Arguments) -> Resource:
    text = args.folders.template(args.text("src"), args.at("src"))
    return Content(args.path("dest"), text.encode(), args.mode() or "", *owner_and_group(args))


def owner_and_group(args: Arguments) -> tuple[str, str]:
    """Read `owner` and `group`; an empty word stands for one that was not given."""
    return args.optional_name(ACCOUNT, "owner") or "", args.optional_name(ACCOUNT, "group") or ""
