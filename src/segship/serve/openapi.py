"""What the service says of itself in its OpenAPI: the errors that occur, the bodies it takes, who may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.serve.replies import FORMS

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["IMAGE", "INFERENCE", "MASK", "describe", "errors"]

_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_REASONS = {
    400: "the image, the body or an option cannot be used",
    401: "no token, or a wrong one",
    404: "there is no such model or version",
    408: "the request did not arrive in time",
    413: "the body is too large",
    500: "the engine failed",
    503: "busy: come back after Retry-After seconds; or not ready",
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string", "enum": ["image"]},
        "datatype": {"type": "string", "enum": ["BYTES", "UINT8", "UINT16", "FP32"]},
        "shape": {"type": "array", "minItems": 1, "maxItems": 4, "items": {"type": "integer", "minimum": 1}},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "enum": ["mask", "scores"]}, "parameters": {"type": "object"}},
}
_INFERENCE = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _TENSOR},
        "outputs": {"type": "array", "items": _OUTPUT},
        "parameters": {"type": "object"},
    },
}

IMAGE: dict[str, Any] = {"requestBody": {"required": True, "content": {
    "application/octet-stream": _BINARY,
    "image/*": _BINARY,
    "multipart/form-data": {"schema": {
        "type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}},
    }},
}}}  # fmt: skip
"""The body is an encoded image."""

INFERENCE: dict[str, Any] = {"requestBody": {"required": True, "content": {
    "application/json": {"schema": _INFERENCE},
    "application/octet-stream": _BINARY,
}}}  # fmt: skip
"""The body is a request of the Open Inference Protocol."""

MASK: dict[int | str, dict[str, Any]] = {
    200: {"description": "the mask", "content": {form.media_type: {} for form in FORMS.values()}}
}
"""The reply is a mask in one of its forms."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, each ``{"error": one line}``.

    Args:
        statuses: Which occur; none: all.
    """
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": _REASONS[status], "content": content} for status in statuses or _REASONS}


def describe(app: FastAPI, *, tokens: bool, probes: frozenset[str]) -> None:
    """Make the description true where the framework guesses.

    Args:
        app: With all its routes; FastAPI documents a 422 for each of them, which is never sent.
        tokens: Whether clients need one.
        probes: Paths that need none.
    """
    told = app.openapi()
    for path, operations in told["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if tokens and path not in probes:
                operation["security"] = [{"token": []}]
                operation["responses"].setdefault("401", errors(401)[401])
    schemas = told.get("components", {}).get("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    if tokens:
        told.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
