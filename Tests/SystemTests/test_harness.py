"""The harness does what the tests take it for: each helper here is shown to notice what it is there to notice."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import deny_io_uring, netns
from harness.knocking import Knocking
from harness.load import Job, NameServers, Sessions
from harness.peers import Blackhole, Echo, Flood, Named, Recorder, Refusing, Scripted, Sink, send_then_reset
from harness.ports import free_address, free_port, split
from harness.process import ProcessView, end, spawn
from harness.ptrace import stopped_thread
from harness.stage import Stage
from harness.streams import End, Stream, connect, exchange, finish, random_bytes, read_to_end, reset, same_prefix
from harness.wait import Stopwatch, eventually, settled, throughout


def test_waiting_ends_at_the_deadline_and_says_what_it_saw() -> None:
    with pytest.raises(AssertionError, match="three; last seen: 2"):
        eventually(_FalsyTwo, "three", 0.05)
    with pytest.raises(AssertionError, match="did not hold: small"):
        throughout(iter([True, True, False]).__next__, "small", 5)


class _FalsyTwo:
    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "2"


def test_a_reset_and_a_finish_are_told_apart() -> None:
    for ending, expected in ((reset, End.RESET), (socket.socket.close, End.FINISHED)):
        recorder = Recorder()
        client = connect(recorder.address)
        client.sendall(b"data")
        eventually(lambda: recorder.accepted, "connected")
        time.sleep(0.05)  # the reset must not overtake the recorder's first read
        ending(client)
        assert (recorder.ended().data, recorder.streams[0].end) == (b"data", expected)
        recorder.close()


def test_a_wrong_byte_is_found() -> None:
    with pytest.raises(AssertionError, match="byte 3 of 5"):
        same_prefix(b"abcXe", b"abcdefg")
    same_prefix(b"abc", b"abcdefg")
    with pytest.raises(AssertionError, match="3 of 7 bytes"):
        Stream(b"abc", End.FINISHED).is_all_of(b"abcdefg")


def test_peers_have_their_habits(stage: Stage) -> None:
    data = random_bytes(1, 300_000)
    exchange(stage.connect(stage.add(Echo()).address), data).is_all_of(data)
    assert stage.name_at(stage.add(Named("me")).address) == "me"
    stream = read_to_end(stage.connect(stage.add(Scripted(send_then_reset(data))).address))
    assert stream.end is End.RESET and stream.data == data
    flood = stage.add(Flood())
    held = stage.connect(flood.address)
    assert flood.stalled() > 100_000
    held.close()
    sink = stage.add(Sink())
    writer = stage.connect(sink.address)
    writer.settimeout(0.2)
    with pytest.raises(TimeoutError):
        while True:
            writer.send(b"x" * 65_536)
    sink.release.set()
    writer.settimeout(10)
    finish(writer)
    eventually(lambda: sink.streams, "the sink drains")


def test_a_blackhole_hangs_and_a_refusing_port_refuses(stage: Stage) -> None:
    hole, refusing = stage.add(Blackhole()), stage.add(Refusing())
    for _ in range(3):
        watch = Stopwatch()
        with pytest.raises(TimeoutError):
            connect(hole.address, timeout=0.4)
        assert watch.seconds >= 0.4
        with pytest.raises(ConnectionRefusedError):
            connect(refusing.address)


def test_a_free_port_is_free_and_is_not_given_twice() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    taken = socket.socket()
    taken.bind(("127.0.0.1", ports[0]))
    taken.close()


def test_a_peers_own_fault_is_not_swallowed() -> None:
    def broken(connection: socket.socket) -> None:
        raise ValueError("a bug in the test")

    peer = Scripted(broken)
    read_to_end(connect(peer.address))
    eventually(lambda: not peer.open_connections, "handled")
    with pytest.raises(ValueError, match="a bug in the test"):
        peer.close()


def test_a_program_ends_with_its_group_and_is_seen_in_proc(tmp_path: Path) -> None:
    code = (
        "import socket,time; s=socket.create_server(('127.0.0.1',0)); "
        "c=socket.create_connection(s.getsockname()); print(s.getsockname()[1],flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", code], log=log, limits={"nofile": 99})
    try:
        port = int(eventually(lambda: log.read_text().strip(), "it listens"))
        view = ProcessView(process.pid)
        assert list(view.listeners()) == [port]
        census = view.census()
        assert census.listening == 1 and census.others >= 4, census
        assert view.limit("Max open files") == ("99", "99")
        assert view.anonymous_bytes > 100_000
    finally:
        end(process)
    assert process.returncode == -9


def test_the_load_client_notices_what_is_wrong(stage: Stage) -> None:
    """Sessions against servers that are right, that mix up bytes, that cut off, that reset, that do not exist."""
    servers = stage.add(NameServers("a"))
    good = stage.add(Sessions(Job(servers.addresses["a"], 50, 5, seed=1))).findings()
    assert (good.sessions, good.failed, good.names) == (50, 0, {"a": 50})

    def mix_up(connection: socket.socket) -> None:
        stream = read_to_end(connection)
        connection.sendall(b"a\n" + stream.data[:-1] + b"?")

    def cut_off(connection: socket.socket) -> None:
        stream = read_to_end(connection)
        connection.sendall(b"a\n" + stream.data[:-1])

    def hang_up(connection: socket.socket) -> None:
        connection.recv(1)
        reset(connection)

    for script in (mix_up, cut_off, hang_up):
        address = stage.add(Scripted(script)).address
        assert stage.add(Sessions(Job(address, 5, 1, seed=2))).findings().failed == 5, script.__name__
    assert stage.add(Sessions(Job(free_address(), 3, 1, seed=3))).findings().failed == 3
    wrong_name = stage.add(Sessions(Job(servers.addresses["a"], 3, 1, seed=4, names=["b"]))).findings()
    assert wrong_name.failed == 3


def test_knocking_notices_refusals_and_losses(stage: Stage) -> None:
    with Knocking(stage.add(Named("one")).address) as knocking:
        eventually(lambda: knocking.served > 20, "knocks")
    knocking.expect_all_served("one")
    with pytest.raises(AssertionError, match="served by"):
        knocking.expect_all_served("two")
    with Knocking(free_address()) as nobody:
        eventually(lambda: nobody.refused > 5, "refusals")
    with pytest.raises(AssertionError, match="refused"):
        nobody.expect_all_served()
    with Knocking(stage.add(Scripted(lambda connection: connection.close())).address) as lost:
        eventually(lambda: len(lost.lost) > 5, "losses")
    with pytest.raises(AssertionError, match="lost"):
        lost.expect_all_served()


@pytest.mark.parametrize("code", ["EPERM", "ENOSYS"])
def test_io_uring_can_be_denied(code: str) -> None:
    ask = (
        "import ctypes,errno; libc=ctypes.CDLL(None,use_errno=True); buffer=ctypes.create_string_buffer(120); "
        "print(libc.syscall(425,8,buffer), errno.errorcode.get(ctypes.get_errno()), libc.syscall(39) > 0)"
    )
    done = subprocess.run(
        [sys.executable, deny_io_uring.__file__, code, sys.executable, "-c", ask], capture_output=True, text=True
    )
    assert done.stdout.split() == ["-1", code, "True"], done


@pytest.mark.skipif(not netns.is_possible(), reason="a network namespace needs root")
def test_a_network_namespace_has_its_own_ports(stage: Stage) -> None:
    outside = stage.add(Echo())
    seen: list[str] = []

    def scenario() -> None:
        with pytest.raises(ConnectionRefusedError):
            connect(outside.address)
        inside = Named("inside", outside.address)
        client = connect(inside.address)
        seen.append(client.recv(10).decode())
        seen.append(str(client.getsockname()[1]))
        client.close()
        inside.close()

    with netns.NetworkNamespace(port_range=(21_000, 21_003)) as namespace:
        namespace.run(scenario)
    assert seen[0] == "inside\n" and 21_000 <= int(seen[1]) <= 21_003
    with pytest.raises(AssertionError, match="from inside"):
        with netns.NetworkNamespace() as namespace:
            namespace.run(_fail)


def _fail() -> None:
    raise AssertionError("from inside")


def test_threads_of_the_harness_do_not_outlive_a_test() -> None:
    before = threading.active_count()
    stage = Stage(Path("/nonexistent"))
    for _ in range(5):
        peer = stage.add(Named("one"))
        stage.connect(peer.address)
    stage.close(failed=False)
    eventually(lambda: threading.active_count() <= before, "threads end")
    assert split(peer.address)[0] == "127.0.0.1"


RING_PROGRAM = """
import ctypes, mmap, struct, time
libc = ctypes.CDLL(None)
parameters = ctypes.create_string_buffer(120)
ring = libc.syscall(425, 8, parameters)
sq_tail, sq_array = (struct.unpack_from("I", parameters, offset)[0] for offset in (44, 64))
submissions = mmap.mmap(ring, sq_array + 8 * 4, offset=0)
struct.pack_into("I", submissions, sq_tail, 5)  # five times the entry 0, which is all zeros: a NOP
libc.syscall(426, ring, 5, 5, 1, None, 0)
print("done", flush=True)
libc.syscall(426, ring, 0, 6, 1, None, 0)  # waits for a sixth that never comes
"""


def test_rings_and_who_waits_in_them_are_seen(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", RING_PROGRAM], log=log)
    try:
        eventually(lambda: "done" in log.read_text(), lambda: f"five completions: {log.read_text()}")
        view = ProcessView(process.pid)
        ring = view.rings()[0]  # and the copy that the memory map keeps
        assert view.completions(ring) == 5
        eventually(lambda: view.threads_in_call(426) == [process.pid], "it waits in its ring")
    finally:
        end(process)


THREADS_PROGRAM = """
import threading, time, sys
counts = [0, 0]
def count(index):
    while True:
        counts[index] += 1
        time.sleep(0.001)
for index in (0, 1):
    threading.Thread(target=count, args=(index,), daemon=True).start()
while True:
    print(*counts, flush=True)
    time.sleep(0.02)
"""


def test_one_thread_is_stopped_and_the_others_go_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", THREADS_PROGRAM], log=log)

    def counts() -> list[int]:
        lines = log.read_text().splitlines()
        return [int(word) for word in lines[-2].split()] if len(lines) > 2 else [0, 0]

    try:
        eventually(lambda: min(counts()) > 20, "both count")
        main, *others = ProcessView(process.pid).threads
        assert main == process.pid and len(others) == 2
        with stopped_thread(others[0]):
            before = settled(lambda: min(counts()), "one stands still", seconds=0.3)
            goes_on = max(counts())
            eventually(lambda: max(counts()) > goes_on + 50, "the other goes on")
            assert min(counts()) == before
        eventually(lambda: min(counts()) > before + 50, "it goes on again")
    finally:
        end(process)
