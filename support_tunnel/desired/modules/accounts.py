"""`group` and `user`. A password travels on the standard input of chpasswd, never as an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.modules.files import ACCOUNT
from support_tunnel.desired.resource import Resource, key
from support_tunnel.desired.shell import TRUE, Code, all_of, branch, call, negate

__all__ = ["AbsentGroup", "AbsentUser", "Group", "User", "read_group", "read_user"]

NAME = r"[a-z_][a-z0-9_-]{0,30}\$?"


@dataclass(frozen=True, slots=True)
class Group(Resource):
    name: str
    gid: int | None
    system: bool

    def check(self) -> Code:
        return call("st_is_group", self.name, *_given(self.gid))

    def fix(self) -> Code:
        gid = ("-g", self.gid) if self.gid is not None else ()
        add = call("st_run", "groupadd", *(("-r",) if self.system else ()), *gid, self.name)
        return branch(call("st_is_group", self.name), call("st_run", "groupmod", *gid, self.name), add)

    def record(self) -> Code:
        return call("st_record_group", key("group", self.name), self.name)


@dataclass(frozen=True, slots=True)
class AbsentGroup(Resource):
    name: str

    def undoable(self) -> bool:
        return False

    def check(self) -> Code:
        return negate(call("st_is_group", self.name))

    def fix(self) -> Code:
        return call("st_run", "groupdel", self.name)


@dataclass(frozen=True, slots=True)
class User(Resource):
    """An account. None and empty mean: as it is, or useradd's own default when it is new."""

    name: str
    uid: int | None = None
    system: bool = False
    group: str | None = None
    groups: tuple[str, ...] | None = None
    append: bool = False
    home: str | None = None
    create_home: bool = True
    shell: str | None = None
    comment: str | None = None
    password: str | None = None

    def check(self) -> Code:
        wanted = {"st_uid": self.uid, "st_home": self.home, "st_shell": self.shell, "st_comment": self.comment}
        return all_of(
            call("st_user", self.name),
            *(
                call("test", Code(f'"x${name}"'), "=", f"x{value}")
                for name, value in wanted.items()
                if value is not None
            ),
            call("st_primary", self.group) if self.group else TRUE,
            TRUE if self.groups is None else call("st_member", "some" if self.append else "all", *self.groups),
            call("test", "-d", Code('"$st_home"')) if self.create_home else TRUE,
            call("st_password", self.name) if self.password is not None else TRUE,
        )

    def fix(self) -> Code:
        attributes = self._attributes()
        change = (
            call("st_run", "usermod", *attributes, *self._supplementary("-a"), "--", self.name)
            if attributes or self.groups is not None
            else TRUE
        )
        return all_of(
            branch(call("st_user", self.name), change, self._add()),
            call("st_home_exists", self.name) if self.create_home else TRUE,
            call("st_set_password", self.name) if self.password is not None else TRUE,
        )

    def _attributes(self) -> list[str | int]:
        wanted = {"-u": self.uid, "-g": self.group, "-c": self.comment, "-d": self.home, "-s": self.shell}
        return [word for flag, value in wanted.items() if value is not None for word in (flag, value)]

    def _supplementary(self, *append: str) -> tuple[str, ...]:
        if self.groups is None:
            return ()
        return (*(append if self.append else ()), "-G", ",".join(self.groups))

    def _add(self) -> Code:
        # -l: no entry in lastlog and faillog, which would outlive the account.
        words = ["-l", "-m" if self.create_home else "-M", *(("-r",) if self.system else ()), *self._attributes()]
        add = call("st_run", "useradd", *words, *(self._supplementary() if self.groups else ()), "--", self.name)
        if self.group:
            return add
        same_name = call(
            "st_run", "useradd", "-N", *words, *(self._supplementary() if self.groups else ()), "--", self.name
        )
        return branch(call("st_is_group", self.name), same_name, add)

    def record(self) -> Code:
        home = self.home or f"/home/{self.name}"
        return all_of(
            call("st_record_directory", key("path", home), home) if self.create_home else TRUE,
            call("st_record_user", key("user", self.name), self.name, key("group", self.name)),
        )

    def body(self) -> bytes | None:
        return None if self.password is None else self.password.encode()


@dataclass(frozen=True, slots=True)
class AbsentUser(Resource):
    name: str
    remove: bool
    force: bool

    def undoable(self) -> bool:
        return False

    def check(self) -> Code:
        return negate(call("st_user", self.name))

    def fix(self) -> Code:
        return call(
            "st_run", "userdel", *(("-f",) if self.force else ()), *(("-r",) if self.remove else ()), "--", self.name
        )


def read_group(args: Arguments) -> Resource:
    name, gid, system = args.name(NAME, "name"), args.number("gid"), args.flag("system", default=False)
    absent = args.choice("state", ("present", "absent"), "present") == "absent"
    return AbsentGroup(name) if absent else Group(name, gid, system)


def read_user(args: Arguments) -> Resource:
    name = args.name(NAME, "name", "user")
    if args.choice("state", ("present", "absent"), "present") == "absent":
        return AbsentUser(name, args.flag("remove", default=False), args.flag("force", default=False))
    password = args.optional("password")
    if password is not None and (":" in password or "\n" in password):
        raise args.wrong("password", "'password' must be a hash as /etc/shadow holds it")
    groups = args.texts("groups")
    for group in groups or ():
        if not re.fullmatch(ACCOUNT, group):
            raise args.wrong("groups", f"{group!r} is not a group")
    comment = args.public("comment")
    if comment is not None and set(comment) & set(":\n"):
        raise args.wrong("comment", "'comment' may hold no colon and no line break")
    return User(
        name=name,
        uid=args.number("uid"),
        system=args.flag("system", default=False),
        group=args.optional_name(NAME, "group"),
        groups=groups,
        append=args.flag("append", default=False),
        home=args.path("home") if args.raw("home") is not None else None,
        create_home=args.flag("create_home", default=True),
        shell=args.path("shell") if args.raw("shell") is not None else None,
        comment=comment,
        password=password,
    )


def _given(value: int | None) -> tuple[int, ...]:
    return () if value is None else (value,)
