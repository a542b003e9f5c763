"""Whether a route can answer what is asked: no parameter that nothing would obey, and a media type that the client takes.

Both are asked of every route before anything else, by what the route declares about itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from marketplace.domain.errors import InvalidField
from marketplace.gateway.problems import HttpRefusal

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a route reads from a query, and the media types that it answers with."""

    parameters: frozenset[str]
    kinds: tuple[str, ...]


_declared: dict[str, Declared] = {}
"""By the routes' own names: a route does not change."""


async def require_fit(request: Request) -> None:
    """Raise InvalidField for a parameter that the route does not know or that is given twice, a 406 problem where no answer fits."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    declared = _declared.get(route.unique_id) or _declared.setdefault(route.unique_id, _read(route))
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in declared.parameters:
            raise InvalidField(
                name, f"is no parameter here; there are: {', '.join(sorted(declared.parameters)) or 'none'}"
            )
        if names.count(name) > 1:
            raise InvalidField(name, "must be given once")
    require_taken(request, declared.kinds)


def require_taken(request: Request, kinds: Iterable[str]) -> None:
    """Raise a 406 problem where the client takes none of these media types."""
    accepted, offered = ",".join(request.headers.getlist("accept")), tuple(kinds)
    if accepted not in ("", "*/*") and not any(takes(accepted, kind) for kind in offered):
        raise HttpRefusal(406, "NotAcceptable", "Accept", f"must allow {' or '.join(offered)}")


def takes(accepted: str, kind: str) -> bool:
    """Whether an ``Accept`` header allows a media type: the most particular range that fits decides (RFC 9110, 12.5.1)."""
    patterns = ("*/*", kind.partition("/")[0] + "/*", kind)
    verdicts = dict[int, bool]()
    for text in accepted.lower().split(","):
        pattern, *parameters = (word.replace(" ", "") for word in text.split(";"))
        if pattern in patterns:
            verdicts[patterns.index(pattern)] = not any(_is_refusal(word) for word in parameters)
    return bool(verdicts) and verdicts[max(verdicts)]


def _is_refusal(parameter: str) -> bool:
    """``q=0``, however many zeros it is written with."""
    return parameter.startswith("q=") and not parameter[2:].strip("0.")


def _read(route: APIRoute) -> Declared:
    names = frozenset(one.alias for one in get_flat_params(route.dependant) if isinstance(one.field_info, Query))
    answers = (answer for status, answer in route.responses.items() if str(status).startswith("2"))
    kinds = dict.fromkeys(kind for answer in answers for kind in answer.get("content", {}))
    return Declared(names, tuple(kinds) or (_JSON,))
