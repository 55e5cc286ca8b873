"""What schemathesis makes up is made harmless where it would reach beyond the test: addresses, and time."""

from __future__ import annotations

import os
import zlib
from typing import Any

import schemathesis

ADDRESSES = os.environ["SHUTTLE_FUZZ_ADDRESSES"].split(",")

# First segments of other paths: with them it is another request than the one that is checked.
RESERVED = set(os.environ["SHUTTLE_FUZZ_RESERVED"].split(","))


def harmless(value: Any, key: str = "") -> Any:
    """Any text is an address by its schema; names would be looked up, and sockets made wherever their paths lead."""
    if isinstance(value, dict):
        return {name: harmless(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [harmless(element, key) for element in value]
    if key in ("address", "check_address") and isinstance(value, str) and value:
        return ADDRESSES[zlib.crc32(value.encode("utf-8", "surrogatepass")) % len(ADDRESSES)]
    return value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return harmless(body)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if case.path.endswith("/wait"):
        case.query = {**(case.query or {}), "timeout": "0"}


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    return (case.path_parameters or {}).get("service") not in RESERVED
