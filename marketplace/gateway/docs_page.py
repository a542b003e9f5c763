"""OpenAPI as a page that people read: one HTML document without scripts, and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

Json = Mapping[str, Any]

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:.7rem;overflow-x:auto}"
    "h3{border-top:1px solid #ddd;padding-top:1rem}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #eee}.m{color:#06c}"
)


def page_of(document: Json) -> str:
    """The whole page."""
    info = document["info"]
    parts = (
        f"<h1>{_text(info['title'])}</h1><p>{_text(info.get('description', ''))} For machines: <a href='openapi.json'>openapi.json</a>.</p>",
        *_security(document["components"]["securitySchemes"]),
        "<h2>Routes</h2>",
        *(_operation(method, path, one) for path, methods in document["paths"].items() for method, one in methods.items()),
        "<h2>Records</h2>",
        *(_schema(name, one) for name, one in document["components"]["schemas"].items()),
    )  # fmt: skip
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{_text(info['title'])}</title>"
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>"
    )


def _security(schemes: Json) -> Iterator[str]:
    yield "<h2>Who asks</h2>"
    rows = [(one.get("name", "Authorization: Bearer"), one.get("description", "")) for one in schemes.values()]
    yield _table(("header", ""), ((_code(name), _text(words)) for name, words in rows))
    for one in schemes.values():
        for vector in one.get("x-test-vectors", ()):
            headers = "\n".join(f"{name}: {value}" for name, value in vector["headers"].items())
            yield f"<p>With the key <code>{vector['privateKey']}</code> this text</p><pre>{_text(vector['text'])}</pre><p>gives</p><pre>{_text(headers)}</pre>"


def _operation(method: str, path: str, one: Json) -> str:
    lines = [
        f"<h3><code><span class='m'>{method.upper()}</span> {_text(path)}</code></h3><p>{_text(one.get('description', ''))}</p>"
    ]
    if one.get("security"):
        ways = " or ".join(" + ".join(way) or "nobody in particular" for way in one["security"])
        lines.append(f"<p>Asked by: {_text(ways)}</p>")
    rows = [
        (_code(each["name"]), each["in"] + (", needed" if each.get("required") else ""), _kind(each["schema"]), _text(each.get("description", "")))
        for each in one.get("parameters", ())
    ]  # fmt: skip
    if rows:
        lines.append(_table(("parameter", "in", "is", ""), rows))
    if "requestBody" in one:
        lines.append(f"<p>Body: {_media(one['requestBody'])}</p>")
    answers = (
        (_code(status), f"{_media(each)}<br>{_text(each.get('description', ''))}")
        for status, each in one["responses"].items()
    )
    lines.append(_table(("status", "answer"), answers))
    return "".join(lines)


def _schema(name: str, one: Json) -> str:
    needed = one.get("required", ())
    rows = (
        (_code(member), _kind(shown), "always" if member in needed else "may be absent", _text(shown.get("description", "")))
        for member, shown in one.get("properties", {}).items()
    )  # fmt: skip
    table = _table(("member", "is", "", ""), rows) if "properties" in one else f"<p>{_kind(one)}</p>"
    return f"<h3 id='{_text(name)}'><code>{_text(name)}</code></h3><p>{_text(one.get('description', ''))}</p>{table}"


def _media(one: Json) -> str:
    return ", ".join(f"{_code(kind)} {_kind(told.get('schema', {}))}" for kind, told in one.get("content", {}).items())


def _kind(schema: Json) -> str:
    """What a value is, in a few words; records as links."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"<a href='#{_text(name)}'>{_text(name)}</a>"
    if options := schema.get("anyOf"):
        return " or ".join(map(_kind, options))
    if "enum" in schema:
        return " · ".join(map(_code, schema["enum"]))
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"by name: {_kind(schema['additionalProperties'])}"
    bounds = [f"{words} {schema[key]}" for key, words in _BOUNDS if key in schema]
    return _text(", ".join([str(schema.get("type", "anything")), *bounds]))


_BOUNDS = (("minimum", "at least"), ("maximum", "at most"), ("maxLength", "letters at most"), ("pattern", "like"), ("default", "else"))  # fmt: skip


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    return f"<table><tr>{head}</tr>{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"


def _code(value: object) -> str:
    return f"<code>{_text(value)}</code>"


def _text(value: object) -> str:
    return escape(str(value))
