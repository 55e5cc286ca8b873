"""The state file is durable before a change is answered, and never torn: case 32 of the list in docs/tests.md."""

from __future__ import annotations

import http.client
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import trace
from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.unchanged import Unchanged
from harness.wait import eventually

#: Rounds of killing; many more find rarer moments: SHUTTLE_KILL_ROUNDS=500.
KILL_ROUNDS = int(os.environ.get("SHUTTLE_KILL_ROUNDS", "60"))


def numbered(address: str, number: int) -> list[dict[str, Any]]:
    """A configuration of some size that says which change it was, at its beginning and at its end."""
    filler = [backend(f"b{i:03}", f"127.0.0.1:{20_000 + i}", weight=number % 256) for i in range(150)]
    return [
        service("first", address, filler, client_timeout=number),
        {"name": "last", "address": address.replace("127.0.0.1", "127.0.0.2"), "server_timeout": number},
    ]


def number_of(shuttled: Shuttled) -> int:
    """Which change a running shuttled has; its parts must agree."""
    first, last = shuttled.admin.config()
    number = first["client_timeout"]
    assert last["server_timeout"] == number, "two changes are mixed"
    assert {b["weight"] for b in first["backends"]} == {number % 256}
    assert len(first["backends"]) == 150
    return number


@pytest.mark.time_limit(60 + 2 * KILL_ROUNDS)
def test_a_kill_at_any_moment_loses_no_answered_change(stage: Stage) -> None:
    """Case 32: each restart has the last change that was answered or the one that was on its way, and nothing torn."""
    address = free_address()
    shuttled = stage.shuttled(numbered(address, 0), state=True)
    source = random.Random(32)
    sent = 0
    newer = 0
    for round_number in range(KILL_ROUNDS):
        answered = number_of(shuttled)
        killing = threading.Timer(source.uniform(0.0, 0.1), shuttled.signal, [signal.SIGKILL])
        killing.start()
        sent = answered
        try:
            while True:
                sent += 1
                shuttled.admin.put("/config", numbered(address, sent)).expect(200)
                answered = sent
        except (OSError, http.client.HTTPException):
            pass  # killed
        killing.join()
        assert shuttled.exit_code() == -signal.SIGKILL
        shuttled.start()
        found = number_of(shuttled)
        assert found in (answered, sent), f"round {round_number}: {answered} was answered, {sent} sent, {found} found"
        newer += found > answered
    left = sorted(path.name for path in shuttled.directory.iterdir())
    assert len(left) <= 6, f"unfinished files pile up: {left}"
    assert sent > KILL_ROUNDS, "changes were made between the kills"
    print(f"{sent} changes in {KILL_ROUNDS} rounds, {newer} times the unanswered one had become durable")


@pytest.mark.parametrize("existing", [False, True])
def test_a_change_is_on_disk_before_it_is_answered(stage: Stage, existing: bool) -> None:
    """Written, synced, renamed, and the folder synced, then answered: what kill -9 cannot show, strace does."""
    output = stage.directory / "trace"
    shuttled = stage.shuttled(state=True, wrapper=trace.wrapper(output))
    if existing:
        shuttled.admin.change("/web", service("web", free_address()))
    marker = "answer-of-this-change"
    shuttled.admin.change(f"/{marker}", service(marker, free_address()))
    state, folder = str(shuttled.state_path), str(shuttled.directory)

    def traced() -> list[trace.Call]:
        calls = trace.calls(output)
        return calls if any(call.is_send and marker in call.arguments for call in calls) else []

    calls = eventually(traced, "strace has written down the answer")
    listing = "\n".join(f"{i}: {call}" for i, call in enumerate(calls) if call.is_send or folder in call.arguments)
    body = next(i for i, call in enumerate(calls) if call.is_send and marker in call.arguments)

    def last(condition: Callable[[trace.Call], bool], end: int, what: str) -> int:
        places = [i for i, call in enumerate(calls[:end]) if call.succeeded and condition(call)]
        assert places, f"no {what} before {end}:\n{listing}"
        return places[-1]

    socket = calls[body].descriptor
    answer = last(lambda c: c.is_send and c.descriptor == socket and "HTTP/1.1 200" in c.arguments, body + 1, "answer")
    rename = last(lambda c: c.name.startswith("rename") and c.paths[-1] == state, answer, "rename onto the state file")
    temporary = calls[rename].paths[0]
    assert os.path.dirname(temporary) == folder and temporary != state, f"a temporary file beside it: {temporary}"
    writes = {"write", "writev", "pwrite64", "pwritev"}
    write = last(lambda c: c.name in writes and c.path == temporary, rename, "write of the temporary file")
    sync = last(
        lambda c: c.name in ("fsync", "fdatasync") and c.path == temporary, rename, "sync of the temporary file"
    )
    folder_sync = last(lambda c: c.name == "fsync" and c.path == folder, answer, "sync of the folder")
    assert marker in calls[write].arguments, f"write {write} is that of another change:\n{listing}"
    assert write < sync < rename < folder_sync < answer, f"{(write, sync, rename, folder_sync, answer)}:\n{listing}"
    opened = [
        c for c in calls if c.name.startswith("open") and c.paths[-1:] == [state] and "O_RDONLY" not in c.arguments
    ]
    assert not opened, f"the state file itself is never opened for writing: {opened}"


DAMAGE = {
    "cut off": lambda data: data[: len(data) // 2],
    "cut off by one byte": lambda data: data.rstrip()[:-1],
    "zeros": lambda data: b"\0" * len(data),
    "rubbish behind it": lambda data: data + b"]",
    "a wrong field": lambda data: data.replace(b'"balance"', b'"balanced"'),
    "a bad value": lambda data: data.replace(b'"RR"', b'"XX"'),
    "not utf-8": lambda data: data.replace(b"RR", b"\xff\xff"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_state_file_is_refused_and_left_as_it_is(stage: Stage, damage: str) -> None:
    """Exit code 65 with file, line and reason: neither the default nor an empty configuration takes its place."""
    address = free_address()
    shuttled = stage.shuttled([service("web", address)], state=True)
    shuttled.admin.change("/web", service("web", address, [backend("b", "127.0.0.1:80")]))
    shuttled.stop()
    whole = shuttled.state_path.read_bytes()
    damaged = DAMAGE[damage](whole)
    assert damaged != whole
    shuttled.state_path.write_bytes(damaged)
    before = shuttled.state_path.stat()

    code, said = shuttled.run()

    assert code == 65, (code, said)
    assert re.search(r"state\.json:\d+:\d+: ", said), f"no line: {said}"
    after = shuttled.state_path.stat()
    assert shuttled.state_path.read_bytes() == damaged
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    shuttled.state_path.write_bytes(whole)
    shuttled.start()
    assert [entry["name"] for entry in shuttled.admin.config()] == ["web"]


def test_a_state_file_without_a_byte_is_none(stage: Stage) -> None:
    """Made with `touch`, so that it has the right owner: the default is loaded. shuttled never leaves such a one."""
    instance = stage.prepared([service("web", free_address())], state=True)
    instance.state_path.touch()
    instance.start()
    assert [entry["name"] for entry in instance.admin.config()] == ["web"]


def test_a_state_file_belongs_to_one_instance(stage: Stage) -> None:
    """Two would overwrite each other's changes."""
    first = stage.shuttled([service("web", free_address())], state=True)
    first.admin.change("/web", service("web", free_address()))
    code, said = stage.prepared(state=first.state_path).run()
    assert code not in (0, -9), (code, said)
    assert "state.json" in said
    first.admin.change("/web", service("web", free_address()))
    first.kill()
    first.start()  # the kernel has taken the dead one's lock back
    assert [entry["name"] for entry in first.admin.config()] == ["web"]


def test_a_state_file_that_cannot_be_read_is_refused(stage: Stage) -> None:
    instance = stage.prepared([], state=True)
    instance.state_path.mkdir()
    code, said = instance.run()
    assert code == 65, (code, said)
    assert "state.json" in said
    assert instance.state_path.is_dir()


def test_a_state_file_in_a_folder_that_does_not_exist_is_refused_at_the_start(stage: Stage) -> None:
    """Not at the first change, when it is too late."""
    instance = stage.prepared([], state=stage.directory / "nowhere" / "state.json")
    code, said = instance.run()
    assert code == 65, (code, said)
    assert "nowhere" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_change_that_cannot_be_written_is_refused_as_a_whole(stage: Stage) -> None:
    """On a full disk nothing changes, nothing stops; with room again, all is well."""
    one = stage.add(Named("one"))
    small = stage.directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        web = service("web", free_address(), [backend("b", one.address)])
        shuttled = stage.shuttled([web], state=small / "state.json")
        shuttled.admin.change("/web", web)
        with open(small / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        unchanged = Unchanged(stage, shuttled)
        with unchanged:
            new = service("new", free_address(), [backend(f"b{i}", one.address) for i in range(100)])
            for path, body in (("/new", new), ("/config", [web, new])):
                response = shuttled.admin.put(path, body)
                assert response.status in (500, 507), response
                response.problem(response.status).says("state.json")
        left = {path.name for path in small.iterdir() if not path.name.endswith(".lock")}
        assert left == {"filler", "state.json", "state.json.history"}, "no unfinished file remains"
        (small / "filler").unlink()
        shuttled.admin.change("/new", new)
        last = shuttled.admin.config_text()
        shuttled.stop()
        shuttled.start()
        assert shuttled.admin.config_text() == last
        shuttled.check_leaks()
        shuttled.stop()
    finally:
        for instance in stage.instances:
            instance.kill()
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_changes_of_many_clients_at_once_are_kept_in_one_order(stage: Stage) -> None:
    """Nothing of one is lost in another's: each adds a backend of its own, and the file has them all."""
    shuttled = stage.shuttled([service("web", free_address())], state=True)
    faults: list[BaseException] = []

    def add(client: int) -> None:
        try:
            for number in range(15):
                shuttled.admin.change(f"/web/c{client}-{number}", backend(f"c{client}-{number}", "127.0.0.1:80"))
        except BaseException as error:  # noqa: B902 - raised below
            faults.append(error)

    threads = [threading.Thread(target=add, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults, faults[0]
    names = {b["name"] for b in shuttled.admin.config()[0]["backends"]}
    assert names == {f"c{client}-{number}" for client in range(8) for number in range(15)}
    last = shuttled.admin.config_text()
    shuttled.kill()
    shuttled.start()
    assert shuttled.admin.config_text() == last


def test_the_state_file_may_be_copied_and_used_elsewhere(stage: Stage) -> None:
    """It is a configuration: what a person saves of it can be started from, as -state or as -config."""
    shuttled = stage.shuttled([service("web", free_address(), [backend("b", "127.0.0.1:80", weight=9)])], state=True)
    shuttled.admin.change("/other", service("other", free_address()))
    text = shuttled.admin.config_text()
    copy = Path(shutil.copy(shuttled.state_path, stage.directory / "copy.json"))
    shuttled.stop()
    as_state = stage.shuttled(state=copy)
    assert as_state.admin.config_text() == text
    as_state.stop()
    as_config = stage.shuttled(copy.read_text())
    assert as_config.admin.config_text() == text


def test_an_unchanged_instance_does_not_touch_its_state(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())], state=True)
    shuttled.admin.change("/web", service("web", free_address()))
    before = shuttled.state_path.stat()
    for path in ("/", "/config", "/web"):
        shuttled.admin.get(path).expect(200)
    time.sleep(0.2)
    shuttled.stop()
    shuttled.start()
    after = shuttled.state_path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
