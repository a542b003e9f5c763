"""OpenAPI, from the routes and the records of ``marketplace.api``: what clients are generated from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from msgspec import Struct
from msgspec.json import schema_components

from marketplace.api.documents import HashedDocument
from marketplace.api.fields import Uint, decimal_pattern
from marketplace.api.problems import ProblemTold
from marketplace.api.record import Document, Record, to_json
from marketplace.gateway.auth import READERS, SENDERS
from marketplace.gateway.problems import PROBLEM_JSON
from marketplace.gateway.signing_told import IN_SESSION, SIGNED, SIGNED_OR_OPEN, parameters, schemes

Json = dict[str, Any]

REF = "#/components/schemas/"
_NO_NUL = r"^[^\x00]*$"
PROBLEM: Json = {
    "description": "What is wrong, as a problem (RFC 9457)",
    "content": {PROBLEM_JSON: {"schema": {"$ref": REF + ProblemTold.__name__}}},
}
_KINDS = (Record, Document, HashedDocument)


def told(kind: type[Struct], *statuses: int, description: str = "") -> dict[int | str, Json]:
    """What a route answers with."""
    content = {"application/json": {"schema": {"$ref": REF + kind.__name__}}}
    return {
        status: {"content": content, "description": description or _first_line(kind)} for status in statuses or (200,)
    }


def asked(*kinds: type[Struct]) -> Json:
    """The JSON body that a route reads (``openapi_extra``)."""
    options = [{"$ref": REF + kind.__name__} for kind in kinds]
    schema = options[0] if len(options) == 1 else {"anyOf": options}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def bytes_asked(description: str) -> Json:
    """The raw body that a route reads."""
    schema = {"type": "string", "format": "binary"}
    content = {"application/octet-stream": {"schema": schema}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def document_of(app: FastAPI) -> Json:
    """The whole document; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, routes=app.routes, servers=[{"url": "/"}],
            description="A market where GPU-hours are traded without a middleman who holds the money.",
        )  # fmt: skip
        for route in (context.original_route for context in iter_route_contexts(app.routes)):
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in route.methods or ():
                    _say_who(document["paths"][route.path_format][method.lower()], route.dependant)
        for operation in _operations(document):
            _only_real_media_types(operation)
        document["components"] = {"schemas": _schemas(document), "securitySchemes": schemes()}
        app.openapi_schema = document
    return app.openapi_schema


def _say_who(operation: Json, dependant: Dependant) -> None:
    """Whose signature or session the operation asks for, by the dependencies of its route; and no parameter that may be null."""
    for parameter in operation.get("parameters", []):
        schema = {key: value for key, value in parameter["schema"].items() if key != "title"}
        options = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
        parameter["schema"] = {**(options[0] if options else {}), **schema}
    calls = {one.call for one in _flat(dependant)}
    if calls & set(SENDERS):
        operation["security"] = SIGNED
    elif calls & set(READERS):
        operation["security"] = SIGNED_OR_OPEN
    if operation.get("security", IN_SESSION) != IN_SESSION:
        headers = parameters(required=operation["security"] == SIGNED)
        operation["parameters"] = [*operation.get("parameters", []), *headers]


def _only_real_media_types(operation: Json) -> None:
    """FastAPI adds JSON of any form to whatever else a route answers with."""
    for response in operation["responses"].values():
        content = response.get("content", {})
        if len(content) > 1 and content.get("application/json") == {"schema": {}}:
            del content["application/json"]


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _flat(one)


def _schemas(document: Json) -> Json:
    """The components that operations refer to, and those that these refer to.

    Answers may say more than is written here, and say all that is written here. Requests have exactly their fields, of which those with a
    default may be left out. What is both, an order, is there twice.
    """
    bodies = [operation.get("requestBody", {}) for operation in _operations(document)]
    answers = [operation["responses"] for operation in _operations(document)]
    asked_for, given = _components(_names_in(bodies), _of_request), _components(_names_in(answers), _of_answer)
    both = {name: f"{name}Asked" for name in asked_for if name in given and asked_for[name] != given[name]}
    renamed = _mapped(asked_for, lambda node: _renamed(node, both))
    for operation in _operations(document):
        if "requestBody" in operation:
            operation["requestBody"] = _mapped(operation["requestBody"], lambda node: _renamed(node, both))
    return dict(sorted(({both.get(name, name): schema for name, schema in renamed.items()} | given).items()))


def _components(names: Iterable[str], finish: Callable[[Json], Json]) -> Json:
    """These records, and all that they refer to."""
    kinds = {kind.__name__: kind for base in _KINDS for kind in _below(base)}
    numbers = {kind.__name__: kind for kind in (Uint, *Uint.__subclasses__())}
    found: Json = {}
    left = set(names)
    while left:
        told = [kinds[name] for name in left - numbers.keys()]
        _, made = schema_components(told, schema_hook=_of_field, ref_template=REF + "{name}")
        found |= {
            name: _required(kinds.get(name), schema, finish(_mapped(schema, _in_json_schema)))
            for name, schema in made.items()
        }
        for schema in found.values():
            schema.pop("title", None)  # its name says it; generators take a title for the name of a class
        found |= {name: _uint(numbers[name]) for name in left & numbers.keys()}
        left = set(_names_in(found)) - found.keys()
    return found


def _required(kind: type[Struct] | None, schema: Json, finished: Json) -> Json:
    """A document that is named by its hash lacks what its writer left out."""
    is_hashed = kind is not None and issubclass(kind, HashedDocument)
    return finished | {"required": schema.get("required", [])} if is_hashed else finished


def _below(base: type[Struct]) -> Iterator[type[Struct]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _below(kind)


def _of_field(kind: type) -> Json:
    """What msgspec asks for kinds of fields that it does not know."""
    if not issubclass(kind, Uint):
        raise NotImplementedError(f"{kind.__name__} is no kind of field")
    return {"$ref": REF + kind.__name__}


def _uint(kind: type[Uint]) -> Json:
    rule = f"A non-negative integer below 2^{kind.bits}, in decimal: no sign, no leading zero."
    return {"type": "string", "pattern": decimal_pattern((1 << kind.bits) - 1), "description": rule}


def _of_answer(schema: Json) -> Json:
    """An answer says all that is written here, and a newer gateway more."""
    if not schema.get("properties"):
        return schema
    said = [
        name for name, shown in schema["properties"].items() if "default" in shown or name in schema.get("required", ())
    ]
    shown = {
        name: {key: value for key, value in one.items() if key != "default"}
        for name, one in schema["properties"].items()
    }
    return {key: value for key, value in schema.items() if key != "additionalProperties"} | {
        "properties": shown,
        "required": said,
    }


def _of_request(schema: Json) -> Json:
    """It has exactly its fields, documents that are named by their hash too; no text holds NUL; hex behind ``0x`` is taken in any case."""
    taken: Json = _mapped(schema, _as_taken)
    return taken


def _as_taken(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            return node | {"additionalProperties": False}
        return {"pattern": _NO_NUL, **node} if node.get("type") == "string" and "enum" not in node else node
    if not isinstance(node, str) or not node.startswith("^0x"):
        return node
    return "^0[xX]" + node.removeprefix("^0x").replace("[0-9a-f]", "[0-9a-fA-F]")


def _in_json_schema(node: Any) -> Any:
    """Patterns as JSON Schema has them, where ``$`` is the end and nothing else; the most that a number may be."""
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("pattern"), str):
        node["pattern"] = node["pattern"].replace(r"\Z", "$")
    if "exclusiveMaximum" in node:
        node["maximum"] = node.pop("exclusiveMaximum") - 1
    return node


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict) and str(node.get("$ref", "")).removeprefix(REF) in names:
        return node | {"$ref": REF + names[node["$ref"].removeprefix(REF)]}
    return node


def _mapped(node: Any, change: Callable[[Any], Any]) -> Any:
    """The document with every node changed, the inner ones first."""
    if isinstance(node, dict):
        return change({key: _mapped(value, change) for key, value in node.items()})
    if isinstance(node, list):
        return [_mapped(value, change) for value in node]
    return change(node)


def _operations(document: Json) -> Iterator[Json]:
    for methods in document["paths"].values():
        yield from methods.values()


def _names_in(node: Any) -> list[str]:
    text = to_json(node).decode()
    return [part.split('"')[0] for part in text.split(f'"{REF}')[1:]]


def _first_line(kind: type[Struct]) -> str:
    return (kind.__doc__ or kind.__name__).strip().split("\n")[0]
