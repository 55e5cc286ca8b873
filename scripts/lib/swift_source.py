"""What the checks need to know about Swift source text, and no more.

Owns: blanking out comments and string literals, finding imports, declared types and the words a file uses. It is a
scanner, not a parser: it knows nothing of scopes or overloads. Which names are allowed where is decided in
scripts/check-floors.
"""

import re
from dataclasses import dataclass

OPEN_STRING = re.compile(r'(#*)("""|")')
# A bare regex literal can only stand where an operand may; elsewhere the slash is a division.
BEFORE_OPERAND = re.compile(r"(?:[(,=:\[{!&|?;]|\breturn)\s*$")
BARE_REGEX = re.compile(r"/(?![\s/*])(?:\\.|[^/\\\n])+/")

IMPORT = re.compile(
    r"(?:^|;)[ \t]*(?:@\w+(?:\([^)\n]*\))?[ \t]+)*"
    r"(?:(?:public|package|internal|fileprivate|private)[ \t]+)?"
    r"import[ \t]+(?:(?:struct|class|enum|protocol|typealias|func|let|var|actor)[ \t]+)?(\w+)",
    re.MULTILINE,
)

# The dot before a member, with what it is a member of; not the dots of a range.
MEMBER_OF = re.compile(r"(?:\b(\w+)\s*)?(?<!\.)\.\s*\Z")

TOKEN = re.compile(r"`?[A-Za-z_]\w*`?|[{}]|[^\s\w{}]")
TYPE_KEYWORDS = {"struct", "class", "enum", "actor", "protocol", "typealias", "associatedtype"}
BODILESS_KEYWORDS = {"typealias", "associatedtype"}
# After `class` these say that it is a modifier (`class func`), not the keyword of a declaration.
MEMBER_KEYWORDS = {"func", "var", "let", "subscript", "init", "override", "final", "static", "private", "public"}
ACCESS_ENDING_FILE = {"private", "fileprivate"}
MODIFIERS = ACCESS_ENDING_FILE | {"public", "package", "internal", "open", "final", "indirect", "nonisolated", "unsafe"}
GENERIC_PARAMETERS = re.compile(r"\b(?:struct|class|enum|actor|func|typealias)\s+\w+\s*<|\b(?:init|subscript)[?!]?\s*<")


@dataclass(frozen=True)
class Declaration:
    """A declared type: its name, its line, and how deep it stands."""

    name: str
    line: int
    # "top": visible to the module under its bare name; "extension": directly inside an extension of `outer`;
    # "nested": somewhere inside `outer`; "file": private to its file.
    place: str
    outer: str = ""


def blank(text):
    """The text with comments and string contents turned to spaces, and the same line breaks and length.

    Code inside an interpolation is code and stays.
    """
    out = list(text)
    _blank_code(text, 0, out, closing=None)
    return "".join(out)


def _erase(out, start, end):
    for index in range(start, min(end, len(out))):
        if out[index] != "\n":
            out[index] = " "


def _blank_code(text, position, out, closing):
    """Walks code from `position`; with `closing` set, up to the parenthesis that ends an interpolation."""
    depth = 0
    while position < len(text):
        if text.startswith("//", position):
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            _erase(out, position, end)
            position = end
            continue
        if text.startswith("/*", position):
            end = _end_of_block_comment(text, position)
            _erase(out, position, end)
            position = end
            continue
        opened = OPEN_STRING.match(text, position)
        if opened:
            position = _blank_string(text, opened, out)
            continue
        if text.startswith("#/", position):
            end = text.find("/#", position + 2)
            end = len(text) if end < 0 else end + 2
            _erase(out, position, end)
            position = end
            continue
        if text[position] == "/":
            literal = BARE_REGEX.match(text, position)
            if literal and BEFORE_OPERAND.search(text[text.rfind("\n", 0, position) + 1 : position]):
                _erase(out, position, literal.end())
                position = literal.end()
                continue
        if closing:
            if text[position] == "(":
                depth += 1
            elif text[position] == ")":
                if depth == 0:
                    return position + 1
                depth -= 1
        position += 1
    return position


def _end_of_block_comment(text, position):
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(text, position):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end()
    return len(text)


def _blank_string(text, opened, out):
    hashes, quotes = opened.group(1), opened.group(2)
    end_mark, escape = quotes + hashes, "\\" + hashes
    position = start = opened.end()
    while position < len(text):
        if text.startswith(end_mark, position):
            _erase(out, start, position)
            return position + len(end_mark)
        if text.startswith(escape + "(", position):
            _erase(out, start, position + len(escape) + 1)
            position = start = _blank_code(text, position + len(escape) + 1, out, closing=")")
            _erase(out, start - 1, start)
            continue
        if text.startswith(escape, position):
            position += len(escape) + 1
            continue
        if text[position] == "\n" and quotes == '"':
            break  # Not valid Swift; carry on with the next line instead of swallowing the file.
        position += 1
    _erase(out, start, position)
    return position


def imports(blanked):
    """(module, line) of each import."""
    return [(found.group(1), line_of(blanked, found.start(1))) for found in IMPORT.finditer(blanked)]


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def declarations(blanked):
    """The types that a file declares, at any depth."""
    found = []
    stack = []  # One entry per open brace: ("extension", name), ("type", name) or ("other", "").
    pending = None
    tokens = list(TOKEN.finditer(blanked))
    for index, token in enumerate(tokens):
        word = token.group()
        if word == "{":
            stack.append(pending or ("other", ""))
            pending = None
        elif word == "}":
            if stack:
                stack.pop()
        elif word == "extension" and _is_name(tokens, index + 1) and not _is_member(tokens, index):
            pending = ("extension", tokens[index + 1].group())
        elif word in TYPE_KEYWORDS and not _is_member(tokens, index) and _is_name(tokens, index + 1):
            name = tokens[index + 1].group().strip("`")
            if name in MEMBER_KEYWORDS or "\n" in blanked[token.end() : tokens[index + 1].start()]:
                continue
            found.append(_declaration(blanked, tokens, index, name, stack))
            if word not in BODILESS_KEYWORDS:
                pending = ("type", name)
    return found


def _declaration(blanked, tokens, index, name, stack):
    line = line_of(blanked, tokens[index].start())
    if not stack:
        return Declaration(name, line, "file" if _is_file_private(tokens, index) else "top")
    kind, outer = stack[0]
    if len(stack) == 1 and kind == "extension" and not _is_file_private(tokens, index):
        return Declaration(name, line, "extension", outer)
    return Declaration(name, line, "nested", outer)


def opened_types(blanked, declared):
    """The types whose inner names this text may use bare: those that it declares or extends."""
    extended = {found.group(1) for found in re.finditer(r"(?<!\.)\bextension\s+(\w+)", blanked)}
    return extended | {declaration.name for declaration in declared if not declaration.outer}


def _is_name(tokens, index):
    return index < len(tokens) and bool(re.match(r"`?[A-Za-z_]", tokens[index].group()))


def _is_member(tokens, index):
    """After a dot the word is a name, and after `import` it only says what kind of thing is imported."""
    return index > 0 and tokens[index - 1].group() in {".", "import"}


def _is_file_private(tokens, index):
    while index > 0 and tokens[index - 1].group() in MODIFIERS:
        index -= 1
        if tokens[index].group() in ACCESS_ENDING_FILE:
            return True
    return False


def generic_parameters(blanked):
    """Names of generic parameters: inside their declaration they hide a type of the same name."""
    names = set()
    for opened in GENERIC_PARAMETERS.finditer(blanked):
        depth, position = 1, opened.end()
        while position < len(blanked) and depth:
            depth += {"<": 1, ">": -1}.get(blanked[position], 0)
            if blanked[position - 1 : position + 1] == "->":
                depth += 1
            position += 1
        inner = blanked[opened.end() : position - 1]
        for part in inner.split(","):
            name = re.match(r"\s*(?:each\s+|let\s+)?([A-Za-z_]\w*)", part)
            if name:
                names.add(name.group(1))
    return names


def used_words(blanked, module):
    """(word, line) of each capitalised identifier that is not a member; `Module.Name` counts as `Name`."""
    for found in re.finditer(r"\b[A-Z]\w*", blanked):
        owner = MEMBER_OF.search(blanked, max(0, found.start() - 200), found.start())
        if owner and owner.group(1) != module:
            continue
        yield found.group(), line_of(blanked, found.start())
