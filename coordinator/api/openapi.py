"""The API's description (OpenAPI 3.1), made of the URL table and the handlers' types."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from coordinator.api.problems import Kind
from coordinator.api.router import JSON, PUBLIC, Raw, Route, Signature, read_signature
from coordinator.contract.common import PROBLEM_TYPE, Problem

_REF = "#/components/schemas/{name}"
_BYTES = (Raw, web.StreamResponse)
"""Answers that are not JSON."""
_BODILESS = frozenset({"GET", "HEAD"})
"""Methods whose requests bring no body, whatever else their handlers read of them."""
_OCTETS: Mapping[str, Any] = {"type": "string", "format": "binary"}


def describe(routes: Sequence[Route], *, version: str) -> bytes:
    """Return the document as JSON."""
    signatures = [read_signature(route) for route in routes]
    kinds = _kinds(signatures)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    by_kind = dict(zip(map(id, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route, signature in zip(routes, signatures, strict=True):
        operation = _operation(route, signature, by_kind, components)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    scheme = {"type": "http", "scheme": "bearer", "description": "ost_<id>_<secret>_<crc32>"}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Outstation coordinator", "version": version},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": scheme}},
    }
    return msgspec.json.encode(document)


def _kinds(signatures: Iterable[Signature]) -> list[Any]:
    kinds: list[Any] = [Problem]
    for one in signatures:
        for kind in (one.query, one.headers, one.body, *one.results):
            if kind is not None and not any(kind is other for other in (*_BYTES, *kinds)):
                kinds.append(kind)
    return kinds


def _operation(
    route: Route,
    signature: Signature,
    by_kind: Mapping[int, Mapping[str, Any]],
    components: Mapping[str, Any],
) -> dict[str, Any]:
    doc = inspect.getdoc(route.handler) or ""
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": doc.split("\n", maxsplit=1)[0],
        "description": doc,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in signature.path
        ]
        + _fields(signature.query, "query", by_kind, components)
        + _fields(signature.headers, "header", by_kind, components),
        "responses": _responses(route, signature, by_kind),
    }
    if signature.body:
        content: dict[str, Any] = {JSON: {"schema": by_kind[id(signature.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    elif signature.request and route.method not in _BODILESS:
        content = {kind: {"schema": _OCTETS} for kind in route.takes}
        operation["requestBody"] = {"required": True, "content": content}
    if route.scope != PUBLIC:
        operation["security"] = [{"token": []}]
        operation["description"] += f"\n\nScope: `{route.scope}`."
    return operation


def _fields(
    kind: Any,  # noqa: ANN401  # any Struct, or None
    where: str,
    by_kind: Mapping[int, Mapping[str, Any]],
    components: Mapping[str, Any],
) -> list[dict[str, Any]]:
    if kind is None:
        return []
    schema = components[str(by_kind[id(kind)]["$ref"]).rpartition("/")[2]]
    required = schema.get("required", ())
    return [
        {"name": name, "in": where, "required": name in required, "schema": member}
        for name, member in schema["properties"].items()
    ]


def _responses(
    route: Route, signature: Signature, by_kind: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    problem = {PROBLEM_TYPE: {"schema": by_kind[id(Problem)]}}
    by_status: dict[int, list[Kind]] = {}
    for kind in sorted({*_usual(route, signature), *route.problems}, key=lambda one: one.urn):
        by_status.setdefault(kind.status, []).append(kind)
    failures = {
        str(status): {
            "description": "; ".join(f"{kind.title} (`{kind.urn}`)" for kind in kinds),
            "content": problem,
        }
        for status, kinds in sorted(by_status.items())
    }
    return {**_successes(route, signature, by_kind), **failures}


def _successes(
    route: Route, signature: Signature, by_kind: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what is no problem: the usual success, and what a parameter makes of it."""
    usual, asked = list(signature.results), _parameters(signature)
    found: dict[str, Any] = {}
    if "validate_only" in asked:
        found["200"] = _success(200, [usual.pop()], by_kind)
    found[str(route.status)] = _success(route.status, usual, by_kind)
    if "range" in asked:
        found["206"] = _success(206, usual, by_kind)
    if "if-none-match" in asked:
        found["304"] = {"description": HTTPStatus(304).phrase}
    return found


def _parameters(signature: Signature) -> set[str]:
    kinds = [kind for kind in (signature.query, signature.headers) if kind is not None]
    return {name for kind in kinds for name in kind.__struct_encode_fields__}


def _success(
    status: int, results: Sequence[Any], by_kind: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    if results[0] in _BYTES:
        content: dict[str, Any] = {"*/*": {"schema": _OCTETS}}
    else:
        schemas = [by_kind[id(kind)] for kind in results]
        content = {JSON: {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _usual(route: Route, signature: Signature) -> Iterable[Kind]:
    """Yield the problems that every route of this kind has."""
    yield from (Kind.MALFORMED, Kind.UNAVAILABLE)
    if route.scope != PUBLIC:
        yield from (Kind.UNAUTHENTICATED, Kind.DENIED)
    if route.role is not None:
        yield Kind.MISDIRECTED
    if signature.path:
        yield Kind.NOT_FOUND
    if signature.query or signature.headers or signature.body:
        yield Kind.INVALID
    if signature.body:
        yield from (Kind.TOO_LARGE, Kind.WRONG_MEDIA_TYPE)
