"""A role folder, read and checked for shape: every key and module of every task is known before any is compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from support_tunnel.core.errors import UsageError
from support_tunnel.desired.modules import IMPORT, MODULES
from support_tunnel.desired.place import Place
from support_tunnel.desired.source import Block, read_source
from support_tunnel.desired.templating import Template, Variable, templates_in

__all__ = ["Role", "Task", "read_roles"]

KEYS = frozenset({"name", "when", "loop", "notify", "vars", "tags", "become", "no_log", "register", "changed_when"})
FOLDERS = frozenset({"defaults", "meta", "tasks", "handlers", "templates", "files", "README.md"})
Clause = tuple[Any, Place]


@dataclass(frozen=True, slots=True)
class Task:
    """One task as written, with what it inherits from the `import_tasks` that brought it."""

    name: str
    module: str
    arguments: Block
    place: Place
    when: tuple[Clause, ...] = ()
    loop: Template | None = None
    notify: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = ()  # type: ignore[assignment]  # always set by _task
    no_log: bool = False
    register: str | None = None
    changed_when: Clause | None = None


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    folder: Path
    defaults: Block
    options: Block
    """`argument_specs.main.options`, empty when the role declares none."""
    options_place: Place
    needs: tuple[str, ...]
    tasks: tuple[Task, ...]
    handlers: tuple[Task, ...]


def read_roles(roots: Path, names: Sequence[str]) -> list[Role]:
    """Read these roles and what they depend on, in the order in which Ansible runs them: each once, dependencies first."""
    found: dict[str, Role] = {}

    def visit(name: str, asked_by: Place | None, path: tuple[str, ...]) -> None:
        if name in path:
            raise (asked_by or Place(name, 1)).wrong(
                "role.syntax", f"the roles {' -> '.join((*path, name))} need each other"
            )
        if name in found:
            return
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not (roots / name).is_dir():
            message = f"there is no role '{name}' in {roots.name}/"
            raise asked_by.wrong("role.missing", message) if asked_by else UsageError("role.missing", message)
        role = _read_role(roots, name)
        for need in role.needs:
            visit(need, Place(f"{roots.name}/{name}/meta/main.yml", 1), (*path, name))
        found[name] = role

    for name in names:
        visit(name, None, ())
    return list(found.values())


def _read_role(root: Path, name: str) -> Role:
    folder = root / name
    shown = f"{root.name}/{name}"
    for entry in sorted(folder.iterdir()):
        if entry.name not in FOLDERS:
            raise Place(f"{shown}/{entry.name}", 1).unsupported(f"'{entry.name}' in a role")
    specs = read_source(folder / "meta/argument_specs.yml", f"{shown}/meta/argument_specs.yml").block()
    main = (specs.get("argument_specs") or {}).get("main") or {}
    options = main.get("options") if isinstance(main, Block) else None
    return Role(
        name=name,
        folder=folder,
        defaults=read_source(folder / "defaults/main.yml", f"{shown}/defaults/main.yml").block(),
        options=options if isinstance(options, Block) else Block(specs.place),
        options_place=specs.place,
        needs=_needs(read_source(folder / "meta/main.yml", f"{shown}/meta/main.yml").block()),
        tasks=tuple(_tasks(folder, shown, "tasks", "main.yml")),
        handlers=tuple(_handlers(folder, shown)),
    )


def _needs(meta: Block) -> tuple[str, ...]:
    for key in meta:
        if key not in ("dependencies", "galaxy_info"):
            raise meta.at(key).unsupported(f"'{key}' in meta/main.yml")
    needs = []
    for need in meta.get("dependencies") or []:
        if isinstance(need, Block) and set(need) == {"role"}:
            need = need["role"]
        if not isinstance(need, str):
            raise meta.at("dependencies").unsupported("a dependency with anything but a role's name")
        needs.append(need)
    return tuple(needs)


def _handlers(folder: Path, shown: str) -> Iterator[Task]:
    for task in _tasks(folder, shown, "handlers", "main.yml"):
        if not task.name:
            raise task.place.wrong("role.syntax", "a handler needs a name")
        if task.notify or task.register:
            raise task.place.unsupported("'notify' or 'register' in a handler")
        yield task


def _tasks(
    folder: Path, shown: str, part: str, file: str, inherited: Task | None = None, depth: int = 0
) -> Iterator[Task]:
    source = read_source(folder / part / file, f"{shown}/{part}/{file}")
    for block in source.blocks():
        task = _task(block, inherited)
        if task.module != IMPORT:
            yield task
            continue
        wanted = task.arguments.get("file")
        if (
            not isinstance(wanted, str)
            or "{" in wanted
            or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", wanted)
            or ".." in wanted
        ):
            raise task.place.unsupported("'import_tasks' of anything but a fixed file name")
        if task.loop or task.register or task.notify:
            raise task.place.unsupported("'loop', 'register' or 'notify' on 'import_tasks'")
        if not (folder / part / wanted).is_file() or depth > 8:
            raise task.place.wrong("role.missing", f"there is no {shown}/{part}/{wanted}")
        yield from _tasks(folder, shown, part, wanted, task, depth + 1)


def _task(block: Block, inherited: Task | None) -> Task:
    modules = [key for key in block if key not in KEYS]
    known = [key for key in modules if _short(key) in MODULES or _short(key) == IMPORT]
    for key in modules:
        if key not in known:
            # Ansible's own keys and modules share one name space; what it would run is the one that is not a key.
            what = "key" if known or key in ANSIBLE_KEYS else "module"
            raise block.at(key).unsupported(f"{what} '{key}'")
    if len(known) != 1:
        raise block.place.wrong("role.syntax", "a task has exactly one module")
    key = known[0]
    tags = block.get("tags")
    if "never" in ([tags] if isinstance(tags, str) else tags or []):
        raise block.at("tags").unsupported("the tag 'never'")
    if block.get("become") not in (None, True, False):
        raise block.at("become").wrong("role.syntax", "'become' must be true or false")
    if "changed_when" in block and _short(key) not in ("command", "shell"):
        raise block.at("changed_when").unsupported("'changed_when' on anything but 'command' and 'shell'")
    register = block.get("register")
    if register is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(register)):
        raise block.at("register").wrong("role.syntax", "'register' takes a variable's name")
    task = Task(
        name=str(block.get("name") or ""),
        module=_short(key),
        arguments=_known_arguments(block, key),
        place=block.place,
        when=_clauses(block, "when"),
        loop=Template(block["loop"], block.at("loop")) if "loop" in block else None,
        notify=_words(block, "notify"),
        variables=templates_in(_mapping(block, "vars"), block.at("vars")),
        no_log=_truth(block, "no_log"),
        register=register,
        changed_when=(block["changed_when"], block.at("changed_when")) if "changed_when" in block else None,
    )
    if inherited is None:
        return task
    return replace(
        task,
        when=inherited.when + task.when,
        variables={**inherited.variables, **task.variables},
        no_log=inherited.no_log or task.no_log,
    )


ANSIBLE_KEYS = frozenset(
    [
        "any_errors_fatal",
        "args",
        "async",
        "become_exe",
        "become_flags",
        "become_method",
        "become_user",
        "block",
        "rescue",
        "always",
        "check_mode",
        "collections",
        "connection",
        "debugger",
        "delay",
        "delegate_facts",
        "delegate_to",
        "diff",
        "environment",
        "failed_when",
        "ignore_errors",
        "ignore_unreachable",
        "listen",
        "local_action",
        "loop_control",
        "module_defaults",
        "poll",
        "port",
        "remote_user",
        "retries",
        "run_once",
        "throttle",
        "timeout",
        "until",
        "with_items",
        "with_dict",
        "with_fileglob",
    ]
)


def _short(key: str) -> str:
    return key.removeprefix("ansible.builtin.")


def _known_arguments(block: Block, key: str) -> Block:
    """The arguments as written. Their names are judged here: a condition may keep the reader from ever seeing them."""
    given, module = _arguments(block, key), _short(key)
    known = {"file"} if module == IMPORT else MODULES[module].arguments
    for name in given:
        if name not in known:
            raise given.at(name).unsupported(f"argument '{name}' of module '{module}'")
    return given


def _arguments(block: Block, key: str) -> Block:
    given = block[key]
    if isinstance(given, Block):
        return given
    made = Block(block.at(key))
    if isinstance(given, str) and _short(key) in ("command", "shell"):
        made["_raw_params"] = given
    elif isinstance(given, str) and _short(key) == IMPORT:
        made["file"] = given
    elif given is not None:
        raise block.at(key).unsupported(f"module '{_short(key)}' with arguments that are not a mapping")
    return made


def _mapping(block: Block, key: str) -> Block:
    value = block.get(key)
    if value is None:
        return Block(block.at(key))
    if not isinstance(value, Block):
        raise block.at(key).wrong("role.syntax", f"'{key}' takes a mapping")
    return value


def _clauses(block: Block, key: str) -> tuple[Clause, ...]:
    value = block.get(key)
    if value is None:
        return ()
    return tuple((clause, block.at(key)) for clause in (value if isinstance(value, list) else [value]))


def _words(block: Block, key: str) -> tuple[str, ...]:
    value = block.get(key)
    if value is None:
        return ()
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise block.at(key).wrong("role.syntax", f"'{key}' takes a name or a list of names")
    return tuple(words)


def _truth(block: Block, key: str) -> bool:
    value = block.get(key, False)
    if not isinstance(value, bool):
        raise block.at(key).wrong("role.syntax", f"'{key}' must be true or false")
    return value
