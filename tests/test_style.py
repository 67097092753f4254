"""House rules that ruff cannot say: where shell text may be made, how modules look, what no file may hold.

Each rule is a function from text to complaints, so that every one is shown here to fail on the thing it forbids.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tracked() -> list[Path]:
    """Every file of the project, new ones too, that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def package_modules() -> list[Path]:
    return sorted((ROOT / "support_tunnel").rglob("*.py"))


def here(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- no text becomes a command outside desired/ ---------------------------------------------------------------------

SHELLS = {"run", "sudo", "run_script"}
"""Methods whose first argument a shell reads: Fabric's, Invoke's and our own port's."""


def assembles(node: ast.AST) -> bool:
    """Say whether this expression itself makes text from parts."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(
            isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
            for side in (node.left, node.right)
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in {"format", "format_map"} or (
            node.func.attr == "join" and isinstance(node.func.value, ast.Constant)
        )
    return False


def names_made_from_parts(tree: ast.AST) -> set[str]:
    """Names that are anywhere in this module bound to assembled text; shadowing only makes the rule stricter."""
    made = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if assembles(node.value) or (isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add)):
                made |= {target.id for target in targets if isinstance(target, ast.Name)}
    return made


def reaches_shell(node: ast.AST, made: set[str]) -> bool:
    """Say whether assembled text is in this argument. In a list it is one argument of a program, and no shell reads it."""
    if isinstance(node, ast.List | ast.Tuple):
        words = [word.value for word in node.elts if isinstance(word, ast.Constant)]
        return "-c" in words and any(reaches_shell(word, made) for word in node.elts)
    if assembles(node) or (isinstance(node, ast.Name) and node.id in made):
        return True
    return any(reaches_shell(child, made) for child in ast.iter_child_nodes(node))


def shell_text(source: str) -> Iterator[int]:
    """Yield the lines where assembled text reaches a shell, or where one is asked for."""
    tree = ast.parse(source)
    made = names_made_from_parts(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [*node.args[:1], *(word.value for word in node.keywords if word.arg in {"command", "script"})]
        shell = any(word.arg == "shell" and is_true(word.value) for word in node.keywords)
        if shell or (method in SHELLS and any(reaches_shell(argument, made) for argument in given)):
            yield node.lineno


def is_true(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def test_no_assembled_text_reaches_a_shell_outside_desired() -> None:
    modules = [path for path in package_modules() if "desired" not in path.parts]
    assert [f"{here(path)}:{line}" for path in modules for line in shell_text(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        "c.run(f'wg show {name}')",
        "c.sudo('rm ' + path)",
        "c.run('rm %s' % path)",
        "c.run('rm {}'.format(path))",
        "c.run(' '.join(words))",
        "shell.run_script(Secret(f'userdel {user}'), timeout=5)",
        "shell.run_script(script=f'userdel {user}', timeout=5)",
        "def f(c, user):\n    command = f'userdel {user}'\n    c.run(command)",
        "processes.run(['sh', '-c', f'rm {path}'])",
        "subprocess.run('ls', shell=True)",
    ],
)
def test_assembled_shell_text_is_found(source: str) -> None:
    assert list(shell_text(source))


@pytest.mark.parametrize(
    "source",
    [
        "c.run('wg show all')",
        "shell.run_script(script, timeout=5)",
        "processes.run(['ip', 'netns', 'add', f'st-{name}'])",
        "processes.run(['sh', '-c', 'exec \"$@\"', 'sh', path])",
        "processes.run(argv, stdin=f'table {name}'.encode())",
        "subprocess.run(['ls'], shell=False)",
        "Ports(shell=LocalShell())",
    ],
)
def test_constant_commands_and_argument_lists_pass(source: str) -> None:
    assert list(shell_text(source)) == []


# --- how a module looks ---------------------------------------------------------------------------------------------

VAGUE = re.compile(r"(^|_)(utils?|common|helpers?|managers?|misc)(_|$)")
LONG = 300


def ill_formed(name: str, source: str) -> Iterator[str]:
    """Yield what is wrong with a module of the package called `name`."""
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree) or ""
    if not docstring:
        yield "has no docstring that says why it exists"
    bound = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    documents_a_folder = name == "__init__" and len(tree.body) <= 1 + len(bound) and bound <= {"__version__"}
    if "__all__" not in bound and not documents_a_folder and name != "__main__":
        yield "has no __all__"
    if VAGUE.search(name):
        yield "has a name that says nothing about what is in it"
    lines = len(source.splitlines())
    if lines > LONG and not re.search(r"(?i)over 300 lines: \S+", docstring):
        yield f"has {lines} lines and its docstring does not say why ('Over 300 lines: ...')"


def test_modules_are_well_formed() -> None:
    paths = [*package_modules(), *ROOT.glob("tools/*.py")]
    found = [f"{here(path)} {words}" for path in paths for words in ill_formed(path.stem, path.read_text())]
    assert found == []


def test_long_tests_say_why() -> None:
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    found = [f"{here(path)} {words}" for path in paths for words in ill_formed(path.stem, path.read_text())]
    assert [words for words in found if " lines " in words or "no docstring" in words] == []


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("code", "__all__ = []", "no docstring"),
        ("code", '"""Why."""\nx = 1', "no __all__"),
        ("code", '"""Why."""', "no __all__"),
        ("__init__", '"""Why."""\nfrom a import b', "no __all__"),
        ("file_utils", '"""Why."""\n__all__ = []', "says nothing"),
        ("manager", '"""Why."""\n__all__ = []', "says nothing"),
        ("code", '"""Why."""\n__all__ = []\n' + "x = 1\n" * LONG, "302 lines"),
    ],
)
def test_an_ill_formed_module_is_found(name: str, source: str, words: str) -> None:
    assert any(words in complaint for complaint in ill_formed(name, source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("__init__", '"""A folder."""'),
        ("__init__", '"""The package."""\n__version__ = "1"'),
        ("__main__", '"""Runs."""\nprint()'),
        ("commons_law", '"""Why."""\n__all__: list[str] = []'),
        ("code", '"""Why. Over 300 lines: one table."""\n__all__ = []\n' + "x = 1\n" * LONG),
    ],
)
def test_a_well_formed_module_passes(name: str, source: str) -> None:
    assert list(ill_formed(name, source)) == []


# --- what no file may hold ------------------------------------------------------------------------------------------

FORBIDDEN = {
    # Written in pieces, so that this file does not break its own rule.
    "a package registry's host: tools know their own, and a mirror is a setting of the machine": re.compile(
        r"(?i)\b(" + "|".join([r"pypi\." + "org", r"python" + r"hosted\.org", r"registry\.npm" + r"js\.org",
        r"crates\." + "io", r"proxy\.gol" + r"ang\.org", r"repo1?\.ma" + r"ven\.", r"deb\.deb" + r"ian\.org"]) + ")"
    ),
    "a folder of one person's machine": re.compile(r"(?<![\w.$}])/(home/[a-z][\w-]*/|Users/\w+/|wo" + r"rk/|root/\.pyenv)"),
}  # fmt: skip

EXCEPTION = re.compile(r"#\s*(type:\s*ignore|noqa)\b(?P<codes>:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[\w, -]+\])?(?P<rest>.*)")


def forbidden(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for reason, pattern in FORBIDDEN.items():
            if pattern.search(line):
                yield f"{number} holds {reason}"


def unreasoned(source: str) -> Iterator[int]:
    """Yield the lines that switch a check off without code and reason: `# noqa: S101 - why`."""
    for number, line in enumerate(source.splitlines(), 1):
        found = EXCEPTION.search(line)
        if found and not (found["codes"] and re.match(r"\s*(-|#)\s*\w+", found["rest"])):
            yield number


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue  # a picture


def test_no_file_holds_what_belongs_to_one_machine() -> None:
    assert [f"{here(path)}:{line}" for path, text in texts() for line in forbidden(text)] == []


def test_switched_off_checks_have_a_reason() -> None:
    mine = Path(__file__).resolve()
    python = [(path, text) for path, text in texts() if path.suffix == ".py" and path != mine]
    assert python
    assert [f"{here(path)}:{line}" for path, text in python for line in unreasoned(text)] == []


@pytest.mark.parametrize(
    "text",
    ["https://" + "py" + "pi.org/simple", "cd /ho" + "me/anna/src", "path = '/wo" + "rk/x'", "deb.de" + "bian.org"],
)
def test_what_belongs_to_one_machine_is_found(text: str) -> None:
    assert list(forbidden(text))


@pytest.mark.parametrize("text", ["/home/$USER/x", "framework/x", "$HOME/src/x", "https://www.rfc-editor.org"])
def test_general_paths_pass(text: str) -> None:
    assert list(forbidden(text)) == []


@pytest.mark.parametrize(
    "line", ["x = 1  # noqa", "x = 1  # noqa: S101", "x = f()  # type: ignore", "x = f()  # type: ignore[misc]"]
)
def test_a_check_switched_off_without_reason_is_found(line: str) -> None:
    assert list(unreasoned(line)) == [1]


@pytest.mark.parametrize(
    "line",
    ["x = 1  # noqa: S101 - this is why", "x = 1  # noqa: S101, S102 - why", "x = f()  # type: ignore[misc]  # why"],
)
def test_a_check_switched_off_with_reason_passes(line: str) -> None:
    assert list(unreasoned(line)) == []
