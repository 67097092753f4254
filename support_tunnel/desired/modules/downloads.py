"""`get_url`: a file fetched by the host itself, and only one whose digest is known beforehand; so nobody on the way is trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.modules.files import owner_and_group
from support_tunnel.desired.resource import Resource, key
from support_tunnel.desired.shell import Code, call

__all__ = ["Download", "read_get_url"]

ALGORITHMS = {"sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
"""Hex digits of each. MD5 and SHA-1 are left out: for both, two files of one digest can be made."""
URL = re.compile(r"https?://[!-~]+")


@dataclass(frozen=True, slots=True)
class Download(Resource):
    """A regular file that `url` sends and `digest` describes. Empty owner or group: as it is, or root's when it is new."""

    path: str
    url: str
    algorithm: str
    digest: str
    mode: str
    owner: str = ""
    group: str = ""

    def check(self) -> Code:
        return call("st_is_fetched", *self._attributes(), *self._wanted())

    def fix(self) -> Code:
        return call("st_fetch", *self._attributes(), *self._wanted(), self.url)

    def record(self) -> Code:
        return call("st_record_path", key("path", self.path), self.path)

    def library(self) -> str:
        return "supplies.sh"

    def _attributes(self) -> tuple[str, ...]:
        return self.path, self.mode, self.owner, self.group

    def _wanted(self) -> tuple[str, ...]:
        return f"{self.algorithm}sum", self.digest


def read_get_url(args: Arguments) -> Resource:
    path, url = args.path("dest"), args.public("url")
    if url is None:
        raise args.wrong("url", "'url' is required")
    if not URL.fullmatch(url) or "@" in urlsplit(url).netloc:
        raise args.wrong("url", "'url' must begin with http:// or https://, in ASCII without blanks, and name no user")
    return Download(path, url, *_checksum(args), args.mode() or "", *owner_and_group(args))


def _checksum(args: Arguments) -> tuple[str, str]:
    value = args.optional("checksum")
    if value is None:
        raise args.at("checksum").unsupported("module 'get_url' without 'checksum'")
    algorithm, _, digest = value.partition(":")
    if algorithm not in ALGORITHMS or "://" in digest:
        raise args.at("checksum").unsupported(
            f"a 'checksum' of module 'get_url' that is not {', '.join(ALGORITHMS)} and a digest"
        )
    digest = digest.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{ALGORITHMS[algorithm]}}}", digest):
        raise args.wrong("checksum", f"{algorithm} has {ALGORITHMS[algorithm]} hex digits")
    return algorithm, digest
