"""docs/tests.md names tests that exist, and quotes every sentence that a test of the original README stands for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "tests.md"


def listed_in(path: Path) -> dict[str, str]:
    """The tests of a file, with their docstrings."""
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {f.name: ast.get_docstring(f) or "" for f in functions if f.name.startswith("test_")}


def test_every_test_that_the_table_names_exists() -> None:
    existing = {name for path in HERE.glob("test_*.py") for name in (*listed_in(path), path.name)}
    named = set(re.findall(r"`(test_\w+(?:\.py)?)`", DOCUMENT.read_text()))
    assert len(named) > 60
    assert not named - existing, f"the table names tests that do not exist: {sorted(named - existing)}"


@pytest.mark.parametrize("name", listed_in(HERE / "test_seed_document.py"))
def test_every_sentence_with_a_test_is_in_the_table(name: str) -> None:
    sentence = " ".join(listed_in(HERE / "test_seed_document.py")[name].split()).partition(" (Not kept")[0]
    assert sentence, f"{name} quotes no sentence"
    row = next((line for line in DOCUMENT.read_text().splitlines() if f"`{name}`" in line), "")
    assert row.startswith(f"| {sentence} |"), f"{name} stands for {sentence!r}, the table says {row!r}"
