"""Roles to one script: variables rendered, conditions decided, loops unrolled, handlers tied to what notifies them.

Everything that can be refused is refused here, before anything is sent. Must not run anything and must not read outside the
two folders it is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from support_tunnel.core.errors import UsageError
from support_tunnel.desired.argument_specs import check_variables, hidden_values
from support_tunnel.desired.arguments import Arguments, Folders
from support_tunnel.desired.condition import condition
from support_tunnel.desired.facts import VARIABLE, FactsNeeded
from support_tunnel.desired.masking import Mask
from support_tunnel.desired.modules import MODULES
from support_tunnel.desired.place import Place
from support_tunnel.desired.plan import Plan, Step
from support_tunnel.desired.resource import Statement, key
from support_tunnel.desired.role import Role, Task, read_roles
from support_tunnel.desired.script import assemble, settings, step, together
from support_tunnel.desired.shell import FALSE, TRUE, Code, branch, call
from support_tunnel.desired.templating import OMIT, Given, Missing, Scope, Variable, environment, templates_in
from support_tunnel.desired.undo import check_folder

__all__ = ["compile_roles"]

RUN_FOLDER = "/run/support_tunnel-handlers"


def compile_roles(
    roles_root: Path,
    names: Sequence[str],
    variables: Mapping[str, object],
    *,
    templates: Path,
    check: bool = False,
    diff: bool = False,
    undo: str | None = None,
    run_folder: str = RUN_FOLDER,
    facts: Mapping[str, str] | None = None,
) -> Plan:
    """Compile these roles and what they depend on. Raises UsageError `role.*` with file and line.

    `variables` are data, never templates; a `Secret` in them is revealed only in the script. `undo` is a folder on the host for
    the journal that `undo_script` reads; its parent exists. `run_folder` holds, on the host, which handlers are owed.
    Raises FactsNeeded when a role names `ansible_facts` and `facts` (of `read_facts`) is None.
    """
    if undo is not None:
        check_folder(undo)
    roles = read_roles(roles_root, names)
    compiler = _Compiler(roles, variables, facts, templates, journal=undo is not None, diff=diff)
    compiler.compile()
    head = settings(check=check, journal=undo, run_folder=run_folder)
    libraries = ["apply.sh", *(["journal.sh"] if undo is not None else []), *sorted(compiler.libraries)]
    script = assemble(head, libraries, [call("st_begin"), *compiler.parts, call("st_end")])
    mask = Mask.of(compiler.secrets)
    return Plan(script, tuple(step.masked(mask) for step in compiler.steps), mask)


@dataclass(slots=True)
class _Compiler:
    roles: Sequence[Role]
    given: Mapping[str, object]
    facts: Mapping[str, str] | None
    templates: Path
    journal: bool
    diff: bool
    steps: list[Step] = field(default_factory=list)
    parts: list[Code] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    registered: dict[str, list[int]] = field(default_factory=dict)
    notifiers: dict[str, list[int]] = field(default_factory=dict)
    """Steps that notify a handler, by the handler's name."""

    def compile(self) -> None:
        scopes = {role.name: self._scope(role) for role in self.roles}
        handlers = self._handlers()
        for role in self.roles:
            for task in role.tasks:
                self._check_notify(task, handlers)
                self.parts += self._task(role, task, scopes[role.name])
        for role, handler in handlers.values():
            if handler.name in self.notifiers:
                self.parts.append(self._handler(role, handler, scopes[role.name]))

    def _scope(self, role: Role) -> Scope:
        env = environment([role.folder / "templates", self.templates])
        # Ansible's order: every role's defaults in turn, then those of the role's dependencies and its own.
        variables: dict[str, Variable] = {}
        for other in [*self.roles, *self._needed(role), role]:
            variables |= templates_in(other.defaults, other.defaults.place)
        variables |= {name: Given(value) for name, value in self.given.items()}
        variables[VARIABLE] = Missing(FactsNeeded()) if self.facts is None else Given(self.facts)
        scope = Scope(env, variables)
        check_variables(role, scope)
        scope = replace(scope, hidden=frozenset(hidden_values(role, scope)))
        self.secrets |= set(scope.secrets())
        return scope

    def _needed(self, role: Role) -> list[Role]:
        by_name = {other.name: other for other in self.roles}
        found: list[Role] = []
        for need in role.needs:
            found += [*self._needed(by_name[need]), by_name[need]]
        return found

    def _handlers(self) -> dict[str, tuple[Role, Task]]:
        handlers: dict[str, tuple[Role, Task]] = {}
        for role in self.roles:
            for handler in role.handlers:
                if handler.name in handlers:
                    # Ansible would run only the last of them.
                    raise handler.place.wrong("role.syntax", f"a second handler is called '{handler.name}'")
                handlers[handler.name] = (role, handler)
        return handlers

    def _check_notify(self, task: Task, handlers: Mapping[str, object]) -> None:
        for name in task.notify:
            if name not in handlers:
                raise task.place.wrong("role.syntax", f"there is no handler called '{name}'")
            self.notifiers.setdefault(name, [])

    def _handler(self, role: Role, handler: Task, scope: Scope) -> Code:
        first = len(self.steps)
        codes = self._task(role, handler, scope)
        owed = key("handler", handler.name)
        skipped = [call("st_say", number, "skipped") for number in self._sent(first)]
        condition = call("st_owed", owed, *self.notifiers[handler.name])
        settle = branch(Code('[ -z "$st_failed" ]'), call("st_settle", owed))
        return branch(condition, together([*codes, settle]), together(skipped or [TRUE]))

    def _sent(self, first: int) -> Iterable[int]:
        return (number for number in range(first, len(self.steps)) if self.steps[number].settled is None)

    def _task(self, role: Role, task: Task, scope: Scope) -> list[Code]:
        scope = scope.with_variables(task.variables)
        codes = []
        turns: list[tuple[str, Scope]] = [("", scope)] if task.loop is None else self._turns(task, scope)
        # What this task registers is known to later tasks only.
        before = dict(self.registered)
        numbers = []
        for item, turn in turns:
            number = len(self.steps)
            code = self._step(role, task, item, turn, before)
            if code is not None:
                codes.append(code)
                numbers.append(number)
        if task.register:
            self.registered[task.register] = numbers
        for name in task.notify:
            self.notifiers[name] += numbers
        return codes

    def _turns(self, task: Task, scope: Scope) -> list[tuple[str, Scope]]:
        loop = task.loop
        assert loop is not None  # noqa: S101 - _task calls this for loops only
        items = scope.render(loop.value, loop.place)
        if not isinstance(items, list):
            raise loop.place.wrong("role.syntax", "'loop' takes a list")
        secret = scope.take_touched()
        turns = []
        for item in items:
            turn = scope.with_variables({"item": Given(item)})
            if secret:
                self.secrets |= set(_strings(item))
                turn = replace(turn, hidden=turn.hidden | set(_strings(item)))
            turns.append(("" if secret else item if isinstance(item, str) else json.dumps(item, default=str), turn))
        return turns

    def _step(
        self, role: Role, task: Task, item: str, scope: Scope, registered: Mapping[str, Sequence[int]]
    ) -> Code | None:
        """Add one step; None when it was settled here."""
        number = len(self.steps)
        made = Step(role.name, self._name(task, scope), item, no_log=task.no_log)
        holds = condition(task.when, scope, registered)
        if holds == FALSE:
            self.steps.append(replace(made, settled="skipped", detail="the condition is false"))
            return None
        scope.take_touched()
        args = self._arguments(role, task, scope)
        result = MODULES[task.module].read(args)
        args.refuse_unread()
        touched = scope.take_touched() or bool(args.secret_names)
        if isinstance(result, Statement):
            if holds != TRUE:
                raise task.place.unsupported(f"module '{task.module}' under a condition on a registered result")
            settled: Literal["ok", "skipped"] = "skipped" if result.skipped else "ok"
            self.steps.append(replace(made, settled=settled, detail=result.detail))
            return None
        if self.journal and not result.undoable():
            raise task.place.wrong(
                "role.undo", f"module '{task.module}' as used here cannot be undone, and this role is applied with undo"
            )
        self.libraries |= {library} if (library := result.library()) else set()
        diff = self.diff and not task.no_log and not touched and result.show() is not None
        content = result.body() if diff and result.preview() is None else None
        self.steps.append(replace(made, shows=diff, content=content))
        code = step(
            number,
            result,
            [key("handler", name) for name in task.notify],
            where=str(task.place),
            journal=self.journal,
            diff=diff,
        )
        return branch(holds, code, call("st_say", number, "skipped"))

    def _name(self, task: Task, scope: Scope) -> str:
        try:
            return str(scope.render(task.name, task.place)) or task.module
        except UsageError:
            return task.name  # as Ansible does: a name alone never fails a task

    def _arguments(self, role: Role, task: Task, scope: Scope) -> Arguments:
        values: dict[str, Any] = {}
        secret: set[str] = set()
        for name, raw in task.arguments.items():
            place = task.arguments.at(name)
            if task.module == "assert" and name == "that":
                clauses = raw if isinstance(raw, list) else [raw]
                value: Any = [condition([(clause, place)], scope, {}) == TRUE for clause in clauses]
            else:
                value = scope.render(raw, place)
            if scope.take_touched():
                secret.add(name)
            if value is not OMIT:
                values[name] = value
        return Arguments(
            module=task.module,
            values=values,
            places=task.arguments.at,
            folders=self._folders(role, scope),
            changed_when=self._changed_when(task, scope),
            secret_names=frozenset(secret),
        )

    def _changed_when(self, task: Task, scope: Scope) -> bool | None:
        if task.changed_when is None:
            return None
        return condition([task.changed_when], scope, {}) == TRUE

    def _folders(self, role: Role, scope: Scope) -> Folders:
        def template(name: str, place: Place) -> str:
            return scope.render_file(name, place)

        def file(name: str, place: Place) -> bytes:
            if name.startswith("/"):
                raise place.unsupported("a file that is not in the role")
            path = role.folder / "files" / name
            if ".." in Path(name).parts or not path.is_file():
                raise place.wrong("role.missing", f"there is no file '{name}' in {role.name}/files")
            return path.read_bytes()

        return Folders(template, file)


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
