"""docs/tests.md names tests that exist, and quotes every sentence that a test of the original README stands for; links lead
somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DOCUMENT = ROOT / "docs" / "tests.md"


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


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What may stand behind a `#`, by GitHub's rule for headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        file, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def pages() -> list[str]:
    folders = (ROOT, ROOT / "perf", ROOT / "docs", ROOT / "docs" / "decisions")
    return [str(path.relative_to(ROOT)) for folder in folders for path in sorted(folder.glob("*.md"))]


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_somewhere(page: str) -> None:
    assert not broken_links(ROOT / page)


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One (thing)\n[a](#one-thing) [b](page.md#one-thing) [c](https://example.org/x) [d](#two) [e](gone.md)\n"
                    "```\n# Two\n[f](gone.md)\n```\n")
    assert broken_links(page) == ["#two", "gone.md"]
