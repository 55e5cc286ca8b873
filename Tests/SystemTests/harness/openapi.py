"""Reads the description of the admin API: its schemas as validators, its examples as requests."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jsonschema


@dataclass
class Example:
    """A request out of the description, with what it says of the answers."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str | None = None
    responses: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.headers} {self.body}"


class Description:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    # Values

    def check(self, value: Any, schema: dict[str, Any]) -> None:
        """The value is as the schema says, and has nothing that the schema does not name."""
        whole = {**schema, "components": self.document["components"]}
        jsonschema.Draft202012Validator(whole).validate(value)
        undescribed = list(self.undescribed(value, schema))
        assert not undescribed, f"not described: {', '.join(undescribed)}"

    def undescribed(self, value: Any, schema: dict[str, Any], place: str = "") -> Iterator[str]:
        parts = list(self.parts(value, schema))
        if isinstance(value, dict):
            known: dict[str, list[dict[str, Any]]] = {}
            for part in parts:
                for name, member in part.get("properties", {}).items():
                    known.setdefault(name, []).append(member)
            if not known:
                # An object of any kind.
                return
            for name, member in value.items():
                if name not in known:
                    yield f"{place}/{name}"
                else:
                    yield from self.undescribed(member, {"allOf": known[name]}, f"{place}/{name}")
        elif isinstance(value, list):
            items = [part["items"] for part in parts if "items" in part]
            for index, element in enumerate(value):
                yield from self.undescribed(element, {"allOf": items}, f"{place}/{index}")

    def parts(self, value: Any, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The schemas without alternatives that are about the value."""
        schema = self.resolved(schema)
        yield schema
        for part in schema.get("allOf", []):
            yield from self.parts(value, part)
        for part in schema.get("oneOf", []) + schema.get("anyOf", []):
            whole = {**part, "components": self.document["components"]}
            if jsonschema.Draft202012Validator(whole).is_valid(value):
                yield from self.parts(value, part)

    # Requests

    def examples(self) -> Iterator[Example]:
        """Every request with each of its bodies, and with each of its optional parameters."""
        for template, item in self.document["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    yield from self._examples(template, method, item.get("parameters", []), operation)

    def _examples(self, template: str, method: str, shared: Any, operation: dict[str, Any]) -> Iterator[Example]:
        parameters = [self.resolved(parameter) for parameter in shared + operation.get("parameters", [])]
        required = [parameter for parameter in parameters if parameter.get("required")]
        optional = [parameter for parameter in parameters if not parameter.get("required")]
        bodies: list[tuple[str | None, Any]] = [
            (content_type, example["value"])
            for content_type, media in operation.get("requestBody", {}).get("content", {}).items()
            for example in media["examples"].values()
        ] or [(None, None)]
        for index, (content_type, body) in enumerate(bodies):
            for further in [None, *optional] if index == 0 else [None]:
                example = Example(method.upper(), template, body=body, content_type=content_type)
                example.responses = {status: self.resolved(answer) for status, answer in operation["responses"].items()}
                query = []
                for parameter in required + ([further] if further else []):
                    value = parameter["example"]
                    text = ",".join(value) if isinstance(value, list) else str(value)
                    if parameter["in"] == "path":
                        example.path = example.path.replace("{" + parameter["name"] + "}", urllib.parse.quote(text))
                    elif parameter["in"] == "query":
                        query.append((parameter["name"], text))
                    else:
                        example.headers[parameter["name"]] = text
                if query:
                    example.path += "?" + urllib.parse.urlencode(query)
                yield example
