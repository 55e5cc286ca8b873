"""Owns applying a JSON Patch (RFC 6902) strictly, as a script that trusts one would: what does not fit is an error."""

from __future__ import annotations

import copy
from typing import Any


def apply(document: Any, patch: list[dict[str, Any]]) -> Any:
    """`document` after every operation; the given one stays as it is."""
    result = copy.deepcopy(document)
    for operation in patch:
        path = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        parent = result
        for part in path[:-1]:
            parent = parent[int(part) if isinstance(parent, list) else part]
        _apply(parent, path[-1], operation)
    return result


def _apply(parent: Any, last: str, operation: dict[str, Any]) -> None:
    name = operation["op"]
    if isinstance(parent, list):
        place = int(last)
        if name == "add":
            assert 0 <= place <= len(parent), f"{operation} is beyond the end"
            parent.insert(place, operation["value"])
            return
        assert 0 <= place < len(parent), f"{operation} is beyond the end"
        if name == "remove":
            del parent[place]
        else:
            parent[place] = operation["value"]
        return
    assert name == "add" or last in parent, f"{operation} finds no {last}"
    if name == "remove":
        del parent[last]
    else:
        parent[last] = operation["value"]
