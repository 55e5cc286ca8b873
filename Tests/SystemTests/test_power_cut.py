"""The power goes, or the disk fails, at each system call of a change: case 32 of the list in docs/tests.md, call by call.

`test_state_file.py` kills at random moments. Here strace tells which calls a change consists of, and shuttled is killed at the
entry of each of them in turn, so that no gap between two of them is left to luck. What a kill cannot show, since the
kernel keeps what was written, is shown from the same list: every content that the disk may have by then is laid out in a
folder, and shuttled is started on it.
"""

from __future__ import annotations

import collections
import errno
import http.client
import itertools
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import json_patch, trace
from harness.disk import Disk
from harness.injection import attached, needs_attaching
from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.unchanged import Unchanged
from harness.wait import eventually

POINTS_MIN = 10
#: Of the state without, with a part of, and with all of the file that is to replace it; of a record, by parts.
DISKS_MIN = 8
#: The thread that makes the calls of files, as its /proc/PID/task/…/comm says.
FILE_THREAD = "TP-#0"
#: All that may lie beside the state file when nothing is being changed.
FILES = {"config.json", "shuttled.log", "state.json", "state.json.history", ".state.json.shuttled.lock"}


@dataclass(frozen=True)
class Point:
    """The `number`-th call of this name by the thread with this name, counted from the beginning of the change."""

    thread: str
    name: str
    number: int


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Any = None


# The changes that are tried; each makes another configuration of the one that is there.


def put_service(shuttled: Shuttled) -> Request:
    web = next(s for s in shuttled.admin.config() if s["name"] == "web")
    backends = [backend(f"b{i}", f"127.0.0.1:{20_000 + i}", weight=3 - web["fall"] % 2) for i in range(20)]
    return Request("PUT", "/web", {**web, "backends": backends, "fall": web["fall"] % 100 + 1})


def put_configuration(shuttled: Shuttled) -> Request:
    config = shuttled.admin.config()
    more = [{**entry, "fall": entry["fall"] % 100 + 1} for entry in config if entry["name"] != "other"]
    other = service("other", config[0]["address"].replace("127.0.0.1", "127.0.0.2"))
    return Request("PUT", "/config", more if len(more) < len(config) else [*more, other])


def restore(shuttled: Shuttled) -> Request:
    """What was before the newest change."""
    newest = history(shuttled)
    return Request("POST", f"/v1/history/{newest[1]['id']}/restore")


CHANGES = {
    "PUT service": put_service,
    "PUT /config": put_configuration,
    "restore": restore,
    "history anew": put_service,
}


def prepare(shuttled: Shuttled, kind: str, output: Path) -> None:
    """Where the history is to be written anew by the next change: a change whose record the disk has not taken."""
    if kind == "history anew":
        request = put_service(shuttled)
        with attached(thread_names(shuttled)[FILE_THREAD], output, inject="fsync:error=EIO:when=3"):
            shuttled.admin.request(request.method, request.path, json=request.body).expect(200)


def history(shuttled: Shuttled) -> list[dict[str, Any]]:
    return shuttled.admin.get("/v1/history?limit=1000").expect(200).json["entries"]


def expected(shuttled: Shuttled, request: Request) -> Any:
    """What the change would make of the configuration."""
    tried = shuttled.admin.request(request.method, f"{request.path}?dry_run=1", json=request.body).expect(200).json
    assert tried["changed"], f"{request} changes nothing"
    return json_patch.apply(shuttled.admin.config(), tried["patch"])


def thread_names(shuttled: Shuttled) -> dict[str, int]:
    assert shuttled.process is not None
    tasks = Path(f"/proc/{shuttled.process.pid}/task")
    return {(task / "comm").read_text().strip(): int(task.name) for task in tasks.iterdir()}


def changed_and_traced(shuttled: Shuttled, request: Request, output: Path) -> list[trace.Call]:
    """The calls of the threads that a change is made and answered by."""
    assert shuttled.process is not None

    def answered() -> list[trace.Call]:
        found = trace.calls(output)
        sent = next((i for i, c in enumerate(found) if c.is_send and "HTTP/1.1 200" in c.arguments), None)
        if sent is None or not any(c.name == "close" and c.thread == found[sent].thread for c in found[sent:]):
            return []
        files = {c.thread for c in found if c.name == "fsync"} | {found[sent].thread}
        return [c for c in found if c.thread in files]

    with attached(shuttled.process.pid, output, all_threads=True):
        shuttled.admin.request(request.method, request.path, json=request.body).expect(200)
        return eventually(answered, "strace has written down the answer")


def leaves_no_trace(call: trace.Call) -> bool:
    """Nothing that outlives the process is another after it: to be killed at the next call is the same."""
    is_of_file = call.path is not None and call.path.startswith("/")
    is_reading = call.name == "openat" and "O_CREAT" not in call.arguments
    return is_reading or call.name in ("lseek", "fchmod", "fchown") or call.name == "close" and is_of_file


def points_of(calls: list[trace.Call], names: dict[str, int], all_of_them: bool) -> list[Point]:
    by_id = {task: name for name, task in names.items()}
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    found = []
    for call in calls:
        key = by_id[call.thread], call.name
        seen[key] += 1
        if all_of_them or not leaves_no_trace(call):
            found.append(Point(*key, seen[key]))
    return found


def killed_at(shuttled: Shuttled, point: Point, request: Request, output: Path) -> tuple[bool, bool]:
    """Makes the change while the call is to be the last: whether it was, and whether the client had its 200 before."""
    inject = f"{point.name}:signal=KILL:when={point.number}"
    answered = False
    with attached(thread_names(shuttled)[point.thread], output, inject=inject):
        try:
            shuttled.admin.request(request.method, request.path, json=request.body).expect(200)
            answered = True
        except (OSError, http.client.HTTPException):
            pass
        if not answered:
            assert shuttled.exit_code() == -signal.SIGKILL
    died = not shuttled.is_running
    if not died:
        shuttled.signal(signal.SIGKILL)
    assert shuttled.exit_code() == -signal.SIGKILL
    return died, answered


def check_history(shuttled: Shuttled, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Nothing that was remembered is lost, ids go on, and the newest entry leads to the configuration that is there."""
    after = history(shuttled)
    ids = [entry["id"] for entry in after]
    assert ids == list(range(ids[0], 0, -1)), ids
    assert after[-len(before) :] == before
    newest = shuttled.admin.post(f"/v1/history/{ids[0]}/restore?dry_run=1").expect(200).json
    assert newest["patch"] == [] and not newest["changed"], f"the newest entry is not what is there: {newest['diff']}"
    return after


@needs_attaching
@pytest.mark.time_limit(180)
@pytest.mark.parametrize("kind", CHANGES)
def test_a_kill_at_each_call_of_a_change_leaves_the_old_or_the_new(stage: Stage, kind: str) -> None:
    """What was answered is kept, the history fits, nothing is left lying, and it starts without anybody's help.

    One kind of change is killed at all of its calls, the others where it may make a difference."""
    shuttled = stage.shuttled([service("web", free_address(), fall=1)], state=True)
    for _ in range(2):
        shuttled.admin.change("/web", put_service(shuttled).body)
    traces = (stage.directory / f"trace{number}" for number in itertools.count())
    prepare(shuttled, kind, next(traces))
    calls = changed_and_traced(shuttled, CHANGES[kind](shuttled), next(traces))
    outcomes: list[tuple[Point, bool]] = []
    answers = 0
    points = points_of(calls, thread_names(shuttled), all_of_them=kind == "PUT service")
    for point in points:
        prepare(shuttled, kind, next(traces))
        entries, old, request = history(shuttled), shuttled.admin.config(), CHANGES[kind](shuttled)
        new = expected(shuttled, request)
        assert old != new
        died, answered = killed_at(shuttled, point, request, next(traces))
        said_before = len(shuttled.log_text())
        shuttled.start()
        found = shuttled.admin.config()
        assert found in (old, new), f"{point}: neither the old configuration nor the new one: {found}"
        assert found == new or not answered, f"{point}: what was answered is lost"
        now = check_history(shuttled, entries)
        assert len(now) - len(entries) == (found == new), f"{point}: {now[:2]}"
        assert {path.name for path in shuttled.directory.iterdir()} == FILES, point
        said = shuttled.log_text()[said_before:]
        assert "damaged" not in said and "error" not in said, said
        if died:
            outcomes.append((point, found == new))
            answers += answered
    judge(outcomes)
    print(f"{kind}: killed at {len(outcomes)} of {len(points)} points in {len(calls)} calls, {sum(new for _, new in outcomes)} times the new")


def judge(outcomes: list[tuple[Point, bool]]) -> None:
    """Whether these kills show something: at many calls, among them those by which files change, and with both outcomes, which
    part at one call."""
    points = {point for point, _ in outcomes}
    assert len(points) >= POINTS_MIN, f"killed at {len(points)} points only: {points}"
    for name in ("openat", "write", "fsync", "rename"):
        assert any(point.name == name for point in points), f"never killed at {name}"
    found = [new for _, new in outcomes]
    assert found == sorted(found) and set(found) == {False, True}, f"old and new do not part at one call: {outcomes}"


def test_kills_that_show_nothing_are_told() -> None:
    calls = [Point("files", name, n) for n in range(1, 4) for name in ("openat", "write", "fsync", "rename")]
    good = [(point, i > 6) for i, point in enumerate(calls)]
    judge(good)
    bad = [[], good[:5], [(p, True) for p in calls], [(p, False) for p in calls], good[::-1], good[:9] * 2]
    bad.append([(p, new) for p, new in good if p.name != "rename"] + [(Point("loop", "close", n), True) for n in range(9)])
    for outcomes in bad:
        with pytest.raises(AssertionError):
            judge(outcomes)


@needs_attaching
@pytest.mark.time_limit(180)
@pytest.mark.parametrize("kind", CHANGES)
def test_whatever_a_disk_may_hold_without_power_is_the_old_or_the_new(stage: Stage, kind: str) -> None:
    """Every content that the calls of a change leave possible, moment by moment: shuttled starts on each of them, and after the
    answer with the new one only."""
    shuttled = stage.shuttled([service("web", free_address(), fall=1)], state=True)
    for _ in range(2):
        shuttled.admin.change("/web", put_service(shuttled).body)
    prepare(shuttled, kind, stage.directory / "trace-before")
    entries, old, request = history(shuttled), shuttled.admin.config(), CHANGES[kind](shuttled)
    new = expected(shuttled, request)
    before, lying = Disk(shuttled.directory), Disk(shuttled.directory, syncs=False)
    calls = changed_and_traced(shuttled, request, stage.directory / "trace")
    shuttled.kill()
    answer = next(i for i, call in enumerate(calls) if call.is_send and "HTTP/1.1 200" in call.arguments)
    #: By content, whether it may be there after the answer.
    disks: dict[frozenset[tuple[str, bytes]], bool] = {}
    for number, contents in enumerate(before.moments(calls)):
        for content in contents:
            key = frozenset((name, data) for name, data in content.items() if name.lstrip(".").startswith("state.json"))
            disks[key] = number >= answer or disks.get(key, False)
    assert len(disks) >= DISKS_MIN and set(disks.values()) == {False, True}
    states = {dict(disk)["state.json"] for disk in disks}
    assert len(states) == 2, f"the state file is torn: {states}"
    # A disk that lies, or a change that does not sync, would be found out.
    assert any(c["state.json"] not in states for contents in lying.moments(calls) for c in contents)

    outcomes = []
    for disk, is_answered in disks.items():
        for path in shuttled.directory.glob("*state.json*"):
            path.unlink()
        for name, data in disk:
            (shuttled.directory / name).write_bytes(data)
        shuttled.start()
        found = shuttled.admin.config()
        assert found == new or found == old and not is_answered, f"{disk}: {found}"
        # Records that were durable are kept; one whose sync had failed may be lost.
        check_history(shuttled, entries[kind == "history anew" :])
        left = {path.name for path in shuttled.directory.iterdir()} - {"state.json.history.damaged"}
        assert left == FILES, left
        outcomes.append(found == new)
        shuttled.kill()
    assert set(outcomes) == {False, True}
    print(f"{kind}: {len(disks)} contents of the disk, {sum(outcomes)} times the new")


#: What fails, of the thread that writes files: the errno, what the answer says, and whether the old file came back.
FAILURES = {
    "openat:error=ENOSPC:when=2": (errno.ENOSPC, True),  # the temporary file
    "fchmod:error=EIO:when=1": (errno.EIO, True),
    "write:error=ENOSPC:when=1": (errno.ENOSPC, True),
    "fsync:error=EIO:when=1": (errno.EIO, True),
    "rename:error=EIO:when=1": (errno.EIO, True),
    "openat:error=EMFILE:when=3": (errno.EMFILE, True),  # the folder, when the file has its name
    "fsync:error=EIO:when=2": (errno.EIO, True),  # the folder
    "fsync:error=EIO:when=2+": (errno.EIO, False),  # the folder, and what would bring the old file back
}


@needs_attaching
@pytest.mark.parametrize("inject", FAILURES)
def test_a_call_that_fails_refuses_the_change_and_hinders_no_other(stage: Stage, inject: str) -> None:
    """The answer says so, the old configuration goes on serving, and the next change works."""
    code, comes_back = FAILURES[inject]
    one = stage.add(Named("one"))
    web = service("web", free_address(), [backend("one", one.address)])
    shuttled = stage.shuttled([web], state=True)
    shuttled.admin.change("/web", {**web, "fall": 3})
    entries, serving = history(shuttled), shuttled.admin.config_text()
    unchanged = Unchanged(stage, shuttled)
    with attached(thread_names(shuttled)[FILE_THREAD], stage.directory / "trace", inject=inject):
        if comes_back:
            unchanged.__enter__()
        problem = shuttled.admin.request("PATCH", "/web", json={"fall": 4}).problem(500)
        problem.says("the change was not made", os.strerror(code), *(() if comes_back else ("could not be put back",)))
        if comes_back:
            unchanged.__exit__(None)
    assert shuttled.admin.config_text() == serving and stage.name_at(web["address"]) == "one"
    assert history(shuttled) == entries, "what was refused is no entry"
    shuttled.admin.change("/web", {"fall": 5}, method="PATCH")
    assert stage.name_at(web["address"]) == "one"
    last = shuttled.admin.config_text()
    shuttled.kill()
    shuttled.start()
    assert shuttled.admin.config_text() == last
    check_history(shuttled, entries)
    assert {path.name for path in shuttled.directory.iterdir()} == FILES


@needs_attaching
@pytest.mark.parametrize("inject", ["openat:error=ENOSPC:when=4", "write:error=ENOSPC:when=3", "fsync:error=EIO:when=3"])
def test_a_history_that_the_disk_does_not_take_is_made_up_for(stage: Stage, inject: str) -> None:
    """The change stands, for the state is durable; the log says what happened, and the next change writes both entries."""
    shuttled = stage.shuttled([service("web", free_address())], state=True)
    shuttled.admin.change("/web", {"fall": 3}, method="PATCH")
    with attached(thread_names(shuttled)[FILE_THREAD], stage.directory / "trace", inject=inject):
        shuttled.admin.change("/web", {"fall": 4}, method="PATCH")
    assert "the history of changes could not be written" in shuttled.log_text()
    shuttled.admin.change("/web", {"fall": 5}, method="PATCH")
    entries = history(shuttled)
    assert len(entries) == 4
    shuttled.kill()
    shuttled.start()
    check_history(shuttled, entries)
    assert shuttled.admin.service("web")["fall"] == 5
