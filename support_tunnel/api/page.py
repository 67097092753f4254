"""The page at /docs: the OpenAPI document as plain HTML, whole in one answer.

FastAPI's own page loads scripts from elsewhere; this one may load nothing at all, and its policy says so to the browser.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["HEADERS", "render"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { border-top: 1px solid #8888; padding-top: 1.5rem; } h2 code { font-size: 1.1rem; }
h3 { font-size: 1rem; margin-bottom: .2rem; } nav { columns: 20rem; } nav a { display: block; } code { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } td { padding: .2rem .8rem .2rem 0; vertical-align: top; } td:last-child { width: 70%; }
pre { background: #8882; padding: .8rem; overflow-x: auto; } :root { color-scheme: light dark; }
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def render(document: Mapping[str, Any]) -> str:
    """Make the page of an OpenAPI 3.1 document; everything from the document is escaped."""
    info = document["info"]
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in sorted(document["paths"].items(), key=lambda one: not one[0].startswith("/v1/"))
        for method, operation in methods.items()
    ]
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>{escape(info['title'])}</title>",
            f"<style>{STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            *(f"<p>{_words(paragraph)}</p>" for paragraph in info["description"].split("\n\n")),
            '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
            "<nav>",
            *(f'<a href="#{_anchor(name)}"><code>{escape(name)}</code></a>' for name, _ in operations),
            "</nav>",
            *(part for name, operation in operations for part in _operation(document, name, operation)),
            "</html>",
        ]
    )


def _operation(document: Mapping[str, Any], name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{_anchor(name)}"><code>{escape(name)}</code></h2><p>{_words(operation.get("description", ""))}</p>'
    if "security" in operation:
        yield "<p>Needs <code>Authorization: Bearer TOKEN</code>.</p>"
    if parameters := operation.get("parameters"):
        yield _table(
            (f"{one['in']} <code>{escape(one['name'])}</code>", one.get("description", "")) for one in parameters
        )
    if "requestBody" in operation:
        yield from _fields(document, "Body", operation["requestBody"]["content"])
    for status, answer in sorted(operation["responses"].items()):
        if status.startswith("2"):
            yield from _fields(document, f"Answer {status}", answer.get("content", {}))
    yield _table((f"<code>{status}</code>", answer["description"]) for status, answer in _refusals(operation))


def _refusals(operation: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted((status, answer) for status, answer in operation["responses"].items() if status >= "4")


def _fields(document: Mapping[str, Any], title: str, content: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3>{escape(title)}</h3>"
    schema = content.get("application/json", {}).get("schema", {})
    if not schema:
        return
    model = _resolve(document, schema)
    yield _table((f"<code>{escape(name)}</code>", one.get("description", "")) for name, one in _properties(model))
    yield f"<pre>{escape(json.dumps(_example(document, model), indent=2))}</pre>"


def _properties(model: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(model.get("properties", {}).items())


def _table(rows: Iterator[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><td>{head}<td>{_words(words)}" for head, words in rows) + "</table>"


def _words(text: str) -> str:
    """What stands between backticks is code, as in every description of ours."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _example(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Give a value of this schema: the one that its author chose, else the plainest."""
    model = _resolve(document, schema)
    for key in ("examples", "enum"):
        if key in model:
            return model[key][0]
    if "const" in model:
        return model["const"]
    if "anyOf" in model:
        return _example(document, model["anyOf"][0])
    match model.get("type"):
        case "object":
            return {name: _example(document, one) for name, one in _properties(model)}
        case "array":
            return [_example(document, model["items"])]
        case kind:
            return {"integer": 1, "boolean": True}.get(str(kind), "text")
