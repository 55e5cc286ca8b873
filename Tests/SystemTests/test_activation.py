"""Sockets that a service manager hands over, by sd_listen_fds(3): which service takes which, and what is refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.handing import handing
from harness.peers import Echo, Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import connect, echoes, read_to_end
from harness.wait import eventually


@contextmanager
def listening(address: str, kind: int = socket.SOCK_STREAM, listens: bool = True) -> Iterator[int]:
    """Bound here, and open for as long as the block lasts: what systemd does."""
    if address.startswith("unix:"):
        name = address.removeprefix("unix:")
        made = socket.socket(socket.AF_UNIX, kind)
        made.bind("\0" + name[1:] if name.startswith("@") else name)
    else:
        host, _, port = address.rpartition(":")
        made = socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host.strip("[]"), int(port)))
    with made:
        if listens and kind == socket.SOCK_STREAM:
            made.listen(128)
        yield made.fileno()


def started(stage: Stage, services: list, descriptors: list[int], names: str | None, **options: object) -> Shuttled:
    return stage.prepared(services, wrapper=handing(descriptors, names), descriptors=descriptors, **options)


@pytest.fixture
def open_sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("form", ["ipv4", "ipv6", "unix", "abstract"])
def test_a_service_takes_the_socket_of_its_name(stage: Stage, open_sockets: ExitStack, tmp_path: Path, form: str) -> None:
    address = {
        "ipv4": free_address(), "ipv6": f"[::1]:{free_address().rpartition(':')[2]}", "unix": f"unix:{tmp_path}/web.sock",
        "abstract": f"unix:@shuttle-{tmp_path.name}-{free_address().rpartition(':')[2]}",
    }[form]  # fmt: skip
    descriptor = open_sockets.enter_context(listening(address))
    echo = stage.add(Echo())
    # Who comes before it starts waits in the kernel and is served.
    early = stage.connect(address)
    shuttled = started(stage, [service("web", address, [backend("b", echo.address)])], [descriptor], "web").start()
    assert echoes(early)
    with connect(address) as client:
        assert echoes(client)
    assert "socket handed over" in shuttled.log_text() and "service=web" in shuttled.log_text()


def test_several_sockets_go_to_their_services(stage: Stage, open_sockets: ExitStack) -> None:
    addresses = [free_address() for _ in range(3)]
    names = ["one", "two", "three"]
    descriptors = [open_sockets.enter_context(listening(address)) for address in addresses]
    peers = [stage.add(Named(name)) for name in names]
    services = [service(n, a, [backend("b", p.address)]) for n, a, p in zip(names, addresses, peers)]
    started(stage, services, descriptors, ":".join(names)).start()
    assert [stage.name_at(address) for address in addresses] == names


def test_nobody_is_refused_while_it_is_restarted(stage: Stage, open_sockets: ExitStack) -> None:
    """Clients that come between the end of one and the start of the next wait, and both sides of that are served."""
    address = free_address()
    descriptor = open_sockets.enter_context(listening(address))
    echo = stage.add(Echo())
    shuttled = started(stage, [service("web", address, [backend("b", echo.address)])], [descriptor], "web").start()
    for _ in range(3):
        with connect(address) as client:
            assert echoes(client)
        shuttled.stop()
        waiting = [stage.connect(address) for _ in range(20)]
        shuttled.start()
        assert all(echoes(client) for client in waiting)
        for client in waiting:
            client.close()


def test_a_service_comes_back_to_its_socket(stage: Stage, open_sockets: ExitStack) -> None:
    address, other = free_address(), free_address()
    descriptor = open_sockets.enter_context(listening(address))
    peer = stage.add(Named("one"))
    web = service("web", address, [backend("b", peer.address)])
    shuttled = started(stage, [web], [descriptor], "web").start()
    shuttled.admin.remove("/web")
    waiting = stage.connect(address)
    shuttled.admin.change("/other", service("other", other, [backend("b", peer.address)]))
    assert stage.name_at(other) == "one"
    # By another name at the same address as well: the address is what a socket is.
    shuttled.admin.change("/again", service("again", address, [backend("b", peer.address)]))
    assert waiting.recv(100).startswith(b"one")
    shuttled.admin.change("/again", service("again", other.replace("127.0.0.1", "127.0.0.2"), [backend("b", peer.address)]))
    shuttled.admin.change("/web", web)
    assert stage.name_at(address) == "one"
    for name in ("other", "again"):
        shuttled.admin.remove(f"/{name}")


def test_a_socket_that_nobody_takes_is_warned_of(stage: Stage, open_sockets: ExitStack) -> None:
    address = free_address()
    descriptor = open_sockets.enter_context(listening(address))
    shuttled = started(stage, [], [descriptor], "later").start()
    assert "nobody takes a socket that was handed over" in shuttled.log_text() and address in shuttled.log_text()
    peer = stage.add(Named("one"))
    shuttled.admin.change("/later", service("later", address, [backend("b", peer.address)]))
    assert stage.name_at(address) == "one"
    shuttled.admin.remove("/later")


@pytest.mark.parametrize("form", ["tcp", "unix"])
def test_the_admin_api_takes_its_socket(stage: Stage, open_sockets: ExitStack, tmp_path: Path, form: str) -> None:
    address = free_address() if form == "tcp" else f"unix:{tmp_path}/admin.sock"
    descriptor = open_sockets.enter_context(listening(address))
    shuttled = started(stage, [], [descriptor], "admin", http=address).start()
    shuttled.admin.get("/config").expect(200)
    assert "for=admin" in shuttled.log_text()
    shuttled.stop()
    if form == "unix":
        assert (tmp_path / "admin.sock").exists(), "it is the manager's"
    shuttled.start()
    shuttled.admin.get("/config").expect(200)


def test_sockets_of_another_process_are_left_alone(stage: Stage, open_sockets: ExitStack) -> None:
    address = free_address()
    descriptor = open_sockets.enter_context(listening(address))
    wrapper = handing([descriptor], "web", owner="1")
    code, said = stage.prepared([service("web", address)], wrapper=wrapper, descriptors=[descriptor]).run()
    assert code == 71 and "address is in use" in said, (code, said)


def test_a_service_that_listens_elsewhere_is_refused(stage: Stage, open_sockets: ExitStack) -> None:
    address, other = free_address(), free_address()
    descriptor = open_sockets.enter_context(listening(address))
    code, said = started(stage, [service("web", other)], [descriptor], "web").run()
    assert code == 71, (code, said)
    for word in ("descriptor 3 of LISTEN_FDS", 'named "web"', address, other, "ListenStream="):
        assert word in said, (word, said)


@pytest.mark.parametrize(
    ("what", "words"),
    [("datagram", ["no stream socket", "ListenDatagram="]), ("deaf", ["does not listen", "Accept=no"]), ("file", ["is no socket"])],
)
def test_what_no_listener_can_take_is_refused(stage: Stage, open_sockets: ExitStack, what: str, words: list[str]) -> None:
    if what == "file":
        descriptor = open_sockets.enter_context(open("/dev/null")).fileno()  # noqa: SIM115
    else:
        kind = socket.SOCK_DGRAM if what == "datagram" else socket.SOCK_STREAM
        descriptor = open_sockets.enter_context(listening(free_address(), kind, listens=False))
    code, said = started(stage, [], [descriptor], "web").run()
    assert code == 71 and "descriptor 3 of LISTEN_FDS" in said, (code, said)
    for word in words:
        assert word in said, (word, said)


def test_two_sockets_at_one_address_are_refused(stage: Stage, open_sockets: ExitStack) -> None:
    descriptor = open_sockets.enter_context(listening(free_address()))
    code, said = started(stage, [], [descriptor, descriptor], "a:b").run()
    assert code == 71 and "descriptor 4" in said and "hand over one for each address" in said, (code, said)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"count": "many"}, "LISTEN_FDS"), ({"count": "-1"}, "LISTEN_FDS"), ({"count": "5000"}, "LISTEN_FDS"),
     ({"names": "a:b"}, "LISTEN_FDNAMES"), ({"count": "2"}, "is not open")],
)  # fmt: skip
def test_variables_that_cannot_be_are_refused(stage: Stage, open_sockets: ExitStack, options: dict, word: str) -> None:
    descriptor = open_sockets.enter_context(listening(free_address()))
    wrapper = handing([descriptor], **options)
    code, said = stage.prepared([], wrapper=wrapper, descriptors=[descriptor]).run()
    assert code == (71 if word == "is not open" else 64) and word in said, (code, said)


def test_what_is_queued_at_the_end_is_left_to_the_next(stage: Stage, open_sockets: ExitStack) -> None:
    """While it drains nothing is accepted any more, and nothing is refused."""
    address = free_address()
    descriptor = open_sockets.enter_context(listening(address))
    echo = stage.add(Echo())
    shuttled = started(
        stage, [service("web", address, [backend("b", echo.address)])], [descriptor], "web", drain_timeout=20_000
    ).start()
    session = stage.connect(address)
    assert echoes(session)
    shuttled.signal(15)
    eventually(lambda: "accepting" in shuttled.admin.get("/readyz?verbose").body.decode()
               and shuttled.admin.get("/readyz").status == 503, "it drains")  # fmt: skip
    late = stage.connect(address)
    late.sendall(b"hello")
    session.close()
    assert shuttled.exit_code() == 0
    shuttled.start()
    late.shutdown(socket.SHUT_WR)
    assert read_to_end(late).data == b"hello"
