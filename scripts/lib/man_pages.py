"""Writes the manual pages of shuttled and of its client from what the program says of its own flags.

usage: man_pages.py BINARY VERSION DATE FOLDER

Owns their form (man(7)); the words are those of the help text, by --experimental-dump-help of swift-argument-parser, so that there is one
place where they are written.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import Any

FILES = """\
.TP
.I /etc/shuttle/shuttle.json
The default configuration of Debian's package.
.TP
.I /etc/default/shuttled
Its flags, where systemd starts it.
.TP
.I /var/lib/shuttle/state.json
Its state, with the history beside it.
"""
SIGNALS = """\
.TP
.B SIGTERM, SIGINT
Accept nothing more, let sessions finish for
.BR \\-drain\\-timeout ,
end; a second one ends them at once.
.TP
.B SIGHUP
Read
.B \\-token\\-file
again, and
.B \\-config
where there is no
.BR \\-state .
.TP
.B SIGUSR1
Open the file of
.B \\-access\\-log
anew.
"""


def escaped(text: str) -> str:
    """As running text: nothing of it is a request, and dashes are those that can be typed."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("’", "'")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def said_of(argument: dict[str, Any]) -> str:
    words = argument.get("abstract", "")
    default = argument.get("defaultValue")
    if default and "(default:" not in words:
        words += f" (default: {default})"
    return words


def option(argument: dict[str, Any]) -> str:
    value = argument.get("valueName", "")
    if argument["kind"] == "positional":
        names = f"\\fI{escaped(value)}\\fR"
    else:
        spelled = []
        for name in argument["names"]:
            dashes = "--" if name["kind"] == "long" else "-"
            spelled.append(f"\\fB{escaped(dashes + name['name'])}\\fR")
        names = ", ".join(dict.fromkeys(spelled))
        if argument["kind"] == "option":
            names += f" \\fI{escaped(value)}\\fR"
    return f".TP\n{names}\n{escaped(said_of(argument))}\n"


def shown(arguments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [argument for argument in arguments if argument.get("shouldDisplay", True)]


def header(name: str, section: int, version: str, date: str, manual: str) -> str:
    return f'.TH {name.upper()} {section} "{date}" "shuttle {version}" "{manual}"\n'


def paragraphs(text: str) -> str:
    return "".join(f".PP\n{escaped(part)}\n" for part in text.split("\n") if part.strip())


def daemon(command: dict[str, Any], version: str, date: str) -> str:
    page = header("shuttled", 8, version, date, "System administration")
    page += f".SH NAME\nshuttled \\- {escaped(command['abstract'].rstrip('.'))}\n"
    page += ".SH SYNOPSIS\n.B shuttled\n.RI [ option ...]\n.br\n.B shuttled ctl\n.I command\n.RI [ argument ...]\n"
    page += ".SH DESCRIPTION\n" + paragraphs(command.get("discussion", "")).replace(".PP\n", "", 1)
    page += ".SH OPTIONS\n" + "".join(option(argument) for argument in shown(command["arguments"]))
    page += f".SH SIGNALS\n{SIGNALS}.SH FILES\n{FILES}"
    return page + ".SH SEE ALSO\n.BR shuttled\\-ctl (1),\n.BR systemd.unit (5),\n.BR io_uring (7)\n"


def client(command: dict[str, Any], version: str, date: str) -> str:
    page = header("shuttled-ctl", 1, version, date, "User commands")
    page += f".SH NAME\nshuttled\\-ctl \\- {escaped(command['abstract'].rstrip('.'))}\n"
    page += ".SH SYNOPSIS\n.B shuttled ctl\n.I command\n.RI [ argument ...]\n"
    page += ".SH DESCRIPTION\n" + paragraphs(command.get("discussion", "")).replace(".PP\n", "", 1)
    shared = shared_names(command["subcommands"])
    page += ".SH COMMANDS\n"
    common: dict[str, dict[str, Any]] = {}
    for each in command["subcommands"]:
        own = []
        for argument in shown(each["arguments"]):
            if key(argument) in shared:
                common[key(argument)] = argument
            else:
                own.append(argument)
        places = " ".join(f"\\fI{escaped(a['valueName'])}\\fR" for a in own if a["kind"] == "positional")
        page += f".SS {escaped(each['commandName'])} {places}\n{escaped(each['abstract'])}\n"
        page += paragraphs(each.get("discussion", ""))
        page += "".join(option(argument) for argument in own)
    page += ".SH OPTIONS OF ALL COMMANDS\n" + "".join(option(argument) for argument in common.values())
    return page + ".SH SEE ALSO\n.BR shuttled (8),\n.BR curl (1)\n"


def key(argument: dict[str, Any]) -> str:
    return argument["names"][0]["name"] if argument.get("names") else ""


def shared_names(commands: list[dict[str, Any]]) -> set[str]:
    """Flags that every command has, with the same words."""
    sets = [{(key(a), a.get("abstract")) for a in shown(command["arguments"]) if key(a)} for command in commands]
    return {name for name, _ in set.intersection(*sets)}


def main() -> None:
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    binary, version, date, folder = sys.argv[1:]
    dumped = subprocess.run([binary, "--experimental-dump-help"], check=True, capture_output=True, text=True).stdout
    command = json.loads(dumped)["command"]
    ctl = next(each for each in command["subcommands"] if each["commandName"] == "ctl")
    place = pathlib.Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    (place / "shuttled.8").write_text(daemon(command, version, date))
    (place / "shuttled-ctl.1").write_text(client(ctl, version, date))


if __name__ == "__main__":
    main()
