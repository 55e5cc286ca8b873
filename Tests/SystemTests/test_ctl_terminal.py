"""`shuttled ctl` at a terminal: colours, widths, and `watch`, which takes the screen and gives it back in every case."""

from __future__ import annotations

import signal

import pytest

from harness.ctl import Terminal, ctl
from harness.peers import Named
from harness.ports import free_address
from harness.process import ProcessView
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.wait import eventually

TAKEN = "\x1b[?1049h"
GIVEN_BACK = "\x1b[?7h\x1b[?25h\x1b[?1049l"


@pytest.fixture
def shuttled(stage: Stage) -> Shuttled:
    one = stage.add(Named("one"))
    return stage.shuttled([service("web", free_address(), [backend("one", one.address)])])


def watch(stage: Stage, shuttled: Shuttled, *arguments: str, size: tuple[int, int] = (80, 24)) -> Terminal:
    terminal = stage.add(Terminal("watch", "-http", shuttled.http, *(arguments or ("-interval", "100ms")), size=size))
    eventually(lambda: terminal.shows("web", "NAME"), lambda: f"it shows services: {terminal.written[-500:]!r}")
    assert not terminal.is_as_before(), "keys come one by one"
    return terminal


def check_given_back(terminal: Terminal) -> None:
    assert terminal.written.startswith(TAKEN) and terminal.written.endswith(GIVEN_BACK), repr(terminal.written[-200:])
    assert terminal.written.count(TAKEN) == terminal.written.count(GIVEN_BACK)
    assert terminal.is_as_before()


@pytest.mark.parametrize("key", ["q", "Q", "\x04"])
def test_watching_ends_with_a_key(stage: Stage, shuttled: Shuttled, key: str) -> None:
    terminal = watch(stage, shuttled)
    terminal.press(key)
    assert terminal.end() == 0
    check_given_back(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_watching_that_is_ended_gives_the_terminal_back(stage: Stage, shuttled: Shuttled, number: signal.Signals) -> None:
    terminal = watch(stage, shuttled)
    if number == signal.SIGINT:
        terminal.press("\x03")
    else:
        terminal.process.send_signal(number)
    assert terminal.end() == -number, "as any program that a signal ends"
    check_given_back(terminal)


def test_watching_that_is_stopped_goes_on(stage: Stage, shuttled: Shuttled) -> None:
    terminal = watch(stage, shuttled)
    terminal.process.send_signal(signal.SIGTSTP)
    eventually(terminal.is_as_before, "the terminal is given back")
    eventually(lambda: terminal.written.endswith(GIVEN_BACK), "with its screen")
    # It gives the terminal back before it stops.
    eventually(lambda: ProcessView(terminal.process.pid).is_stopped, "it has stopped")
    terminal.process.send_signal(signal.SIGCONT)
    eventually(lambda: terminal.written.count(TAKEN) == 2, "it takes the screen again")
    terminal.press("q")
    assert terminal.end() == 0
    check_given_back(terminal)


def test_watching_shows_what_happens(stage: Stage, shuttled: Shuttled) -> None:
    terminal = watch(stage, shuttled)
    client = stage.connect(shuttled.admin.config()[0]["address"])
    assert read_line(client) == "one"
    eventually(lambda: terminal.shows("active: 1"), lambda: f"the session is seen: {terminal.screen}")
    shuttled.admin.change("/web/one", {"state": "drain"}, method="PATCH")
    eventually(lambda: terminal.shows("  one  drain"), lambda: f"the state is seen: {terminal.screen}")
    client.close()
    shuttled.stop()
    eventually(lambda: terminal.shows("connection refused", "web"), lambda: f"what was seen last stays: {terminal.screen}")
    shuttled.start()
    eventually(lambda: terminal.shows("q ends"), lambda: f"it goes on: {terminal.screen}")
    terminal.press("q")
    assert terminal.end() == 0


def test_watching_fits_every_terminal(stage: Stage) -> None:
    shuttled = stage.shuttled([service(f"web-{number}-{'x' * 60}", free_address()) for number in range(40)])
    terminal = watch(stage, shuttled, size=(70, 10))
    assert terminal.shows("web-0", "1-6 of 40", "q ends") and len(terminal.screen) <= 10
    assert all(len(line) <= 70 for line in terminal.screen), terminal.screen
    terminal.press("\x1b[F")
    eventually(lambda: terminal.shows("35-40 of 40", "web-9"), lambda: f"the end is seen: {terminal.screen}")
    terminal.press("d")
    eventually(lambda: terminal.shows("shows all again"), lambda: f"only what is down: {terminal.screen}")
    terminal.press("d")
    terminal.resize(100, 45)
    terminal.process.send_signal(signal.SIGWINCH)
    eventually(lambda: terminal.shows("web-0", "web-9"), lambda: f"all are seen: {terminal.screen}")
    terminal.press("q")
    assert terminal.end() == 0


def test_watching_ends_after_so_many_looks(stage: Stage, shuttled: Shuttled) -> None:
    """Looks at shuttled, not pictures: keys make pictures too."""
    terminal = watch(stage, shuttled, "-interval", "2s", "-count", "3")
    for _ in range(5):
        pictures = terminal.written.count("\x1b[H")
        terminal.press("d")
        # On a machine that is slow it may have ended before the last key.
        eventually(
            lambda before=pictures: terminal.written.count("\x1b[H") > before or terminal.process.poll() is not None,
            "the key is obeyed",
        )
    assert terminal.end() == 0
    check_given_back(terminal)


def test_watching_says_what_is_wrong_where_it_can_be_read(stage: Stage) -> None:
    address = free_address()
    terminal = stage.add(Terminal("watch", "-http", address))
    assert terminal.end() == 69
    assert TAKEN not in terminal.written and "connection refused" in terminal.written
    assert terminal.is_as_before()


def test_watching_is_plain_text_elsewhere(shuttled: Shuttled) -> None:
    run = ctl("watch", "web", "-interval", "100ms", "-count", "3", "-http", shuttled.http)
    assert run.returncode == 0 and "\x1b" not in run.stdout
    assert run.stdout.count("NAME ") == 3 and run.stdout.count("\n  one ") == 3
    assert ctl("watch", "nix", "-http", shuttled.http).returncode == 66


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_colours_are_for_terminals_that_want_them(stage: Stage, shuttled: Shuttled, variables: dict[str, str]) -> None:
    terminal = stage.add(Terminal("get", "-http", shuttled.http, **variables))
    assert terminal.end() == 0
    assert "up" in terminal.written
    assert ("\x1b[32mup\x1b[0m" in terminal.written) == (not variables)
