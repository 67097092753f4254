"""The same role folder, by ansible-playbook and by us, in twin places: the same tree, and a second run changes nothing."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from support_tunnel.desired.templating import environment
from tests.desired.bench import Bench, tree
from tests.desired.covered import EVERYTHING, IMPORTED, KEYS, SUPPLIES
from tests.desired.oracle import apply_with_ansible
from tests.desired.supply import archive, web
from tests.desired.test_apply import everything

pytestmark = pytest.mark.oracle

FILTERS = [
    "1 | bool", "'yes' | bool", "'Off' | bool", "x | default('d')", "'' | default('d', true)", "data | to_json", "data | to_nice_json",
    "data | to_nice_yaml", "'a b' | b64encode", "'YSBi' | b64decode", "'a' | hash('sha256')", "'a' | hash", "\"a'b\" | quote",
    "'' | quote", "true | ternary('a', 'b')", "'/a/b.c' | basename", "'/a/b.c' | dirname", "{'a': 1} | combine({'b': 2})",
    "[3, 1, 2] | sort", "['a', 'b'] | join('-')", "'abc' | upper", "data.list | length", "data.list | first", "'a,b'.split(',')",
    "none", "'x' ~ none", "true", "1.5", "[1, 'a', none]", "{'a': none}", "hostile", "3 // 2", "'%05d' % 42", "data is defined",
    "nothing is defined", "data.list | map('string') | list", "data | dictsort | list", "'a' in data.list", "data.list | map('string')", "range(3) | list", "(1, 2)",
    # every other filter of Jinja's
    "-3 | abs", "data | attr('text') | default('no')", "[1, 2, 3] | batch(2)", "'abc dEF' | capitalize", "'a' | center(5)", "'abc' | count", "y | d('e')", "'<&>' | e",
    "'<a href>' | escape", "12345 | filesizeformat", "'1.5' | float", "'<' | forceescape", "'%s-%s' | format(1, 'b')", "'a\nb' | indent(2)", "'42' | int",
    "{'a': 1} | items", "data.list | last", "'abc' | list", "'ABC' | lower", "[1, 2, 3] | reject('odd')", "[{'a': 1}, {'b': 2}] | rejectattr('a', 'defined')",
    "'aXbX' | replace('X', '-')", "[1, 2] | reverse", "'<' | safe", "[1, 2, 3] | select('odd')", "[{'a': 1}, {'a': 2}] | selectattr('a', 'eq', 2)", "[1, 2, 3] | slice(2)",
    "5 | string", "'<b>x</b>' | striptags", "[1, 2] | sum", "'ab cd' | title", "{'a': '<'} | tojson", "' x ' | trim", "'abc def ghi' | truncate(7, true, '~', 0)", "'a b&c' | urlencode",
    "'a b c' | wordcount", "'aaa bbb' | wordwrap(4)", "{'a': 1} | xmlattr", "'abc' | reverse", "data.deep.keys()", "data.deep.values()", "data.deep.items()", "[1, 2] | reverse | list",
    # every test and function
    "[1 != 2, 1 is ne(2), 1 is eq(1), 1 is equalto(1), 1 is sameas(1), 1 is lt(2), 1 is lessthan(2), 1 is le(1), 2 is gt(1), 2 is greaterthan(1), 2 is ge(2)]",
    "[true is boolean, range is callable, y is undefined, 4 is divisibleby(2), '<' is escaped, 2 is even, false is false, true is true, 'upper' is filter, 1.5 is float]",
    "[1 is in([1]), 1 is integer, 'a' is iterable, 'a' is lower, {} is mapping, none is none, 1 is number, 1 is odd, 'a' is sequence, 'a' is string, 'odd' is test, 'A' is upper]",
    "['==' is test, [1, 2] | select('==', 1), [1, 2] | select('!=', 1), [1, 2] | select('<', 2), [1, 2] | select('<=', 1), [1, 2] | select('>', 1), [1, 2] | select('>=', 2)]",
    "dict(a=1)", "cycler('a', 'b').next()", "joiner(',')()", "namespace(a=1).a",
]  # fmt: skip
"""Each filter, test and function of docs/roles.md is in one of these."""


def twins(bench: Bench) -> tuple[Path, Path]:
    places = (bench.base / "ours", bench.base / "ansibles")
    for place in places:
        place.mkdir(mode=0o755)
        furnish(bench, place)
    return places


def furnish(bench: Bench, place: Path) -> None:
    """What the roles of covered.py find in `place` and in the top-level templates."""
    (place / "given").write_text("a\n#  PORT  2222\nlast\nPort 33 # two\nend\n")
    (place / "given").chmod(0o604)
    (place / "unended").write_text("no newline")
    (place / "tree/in").mkdir(parents=True)
    (place / "old_link").symlink_to("tree")
    (place / "remove_me").touch()
    (place / "archive").write_bytes(archive())
    (bench.base / "templates").mkdir(exist_ok=True)
    (bench.base / "templates/shared.j2").write_text(
        "{% for x in [1, 2] %}\n  x{{ x }}\n{% endfor %}\n{# gone #}\nend {{ default_word }}\n\n"
    )


def compare(bench: Bench, variables: dict[str, object]) -> None:
    ours, theirs = twins(bench)
    plan = bench.plan({**variables, "root": str(ours)})
    plan.report(bench.run(plan.script)).raise_for_failure("host")
    theirs_variables = {**variables, "root": str(theirs)}
    how = {
        "roles": bench.base / "roles",
        "names": ["demo"],
        "variables": theirs_variables,
        "templates": bench.base / "templates",
    }
    first = apply_with_ansible(**how)  # type: ignore[arg-type]  # one dict, spelled once for two calls
    assert first.changed
    made = tree(theirs)
    assert _neutral(tree(ours), ours) == _neutral(made, theirs)
    second = apply_with_ansible(**how)  # type: ignore[arg-type]  # as above
    assert second.changed == 0, second.output
    again = plan.report(bench.run(plan.script))
    assert not again.changed
    assert _neutral(tree(ours), ours) == _neutral(tree(theirs), theirs)


def _neutral(found: dict[str, tuple[object, ...]], root: Path) -> dict[str, tuple[object, ...]]:
    """Paths differ between twins by the name of the place alone."""

    def same(value: object) -> object:
        if isinstance(value, bytes):
            return value.replace(str(root).encode(), b"ROOT")
        return value.replace(str(root), "ROOT") if isinstance(value, str) else value

    return {name: tuple(same(value) for value in about) for name, about in found.items()}


def test_every_module_and_key_makes_the_same_tree(dash: Bench) -> None:
    everything(dash)
    dash.role(EVERYTHING + KEYS, defaults__main='default_word: "{{ base_word }}!"\nbase_word: word\n', **IMPORTED)
    compare(dash, {"hostile": "{{ 1 + 1 }} $(id) '\"\n"})


def test_what_is_fetched_and_unpacked_makes_the_same_tree(dash: Bench) -> None:
    dash.role(SUPPLIES)
    content = archive()
    with web() as server:
        server.files["/archive"] = content
        compare(dash, {"server": server.url, "digest": hashlib.sha256(content).hexdigest()})
        assert server.asked == ["/archive"] * 2


def test_expressions_and_filters_agree(dash: Bench) -> None:
    template = "".join(f"{number} [{{{{ {expression} }}}}]\n" for number, expression in enumerate(FILTERS))
    # one long text: each task costs ansible-playbook half a second
    # a view of a dict is not JSON to either, and is one list when it stands alone
    typed = " ".join(
        "{{ (" + expression + ") | to_json }}a{{ " + expression + " }}b"
        for expression in FILTERS
        if not expression.endswith("()")
    )
    tasks = '- template: {src: filters.j2, dest: "{{ root }}/filters", mode: "0600"}\n'
    tasks += (
        json.dumps([{"copy": {"content": typed, "dest": "{{ root }}/typed", "mode": "0600"}}])
        .strip("[]")
        .join(("- ", "\n"))
    )
    dash.role(tasks, **{"templates__filters.j2": template})
    compare(
        dash,
        {
            "hostile": "{{ 7 * 6 }}",
            "data": {"list": ["a", "ü", 3], "text": "two\nlines", "deep": {"sure": True, "none": None}},
        },
    )


def test_every_filter_test_and_function_is_compared() -> None:
    made, text = environment([]), "\n".join(FILTERS)
    words = set(re.findall(r"\w+", text))
    operators = {"==", "!=", "<", "<=", ">", ">="}
    assert {*made.filters, *made.globals, *(made.tests.keys() - operators)} - words <= {"omit"}
    assert all(f"select('{name}'" in text for name in operators)
