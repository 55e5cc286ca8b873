"""A client that opens sessions through a proxy and leaves them idle.

usage: hold.py ADDRESS PORT SESSIONS; takes commands by line on standard input: `open`, `ask` (one request and its answer
on each session), `flood` (requests whose answers nobody reads), `close`; answers each with a line when it is done
"""

import socket
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from measuring import sockets  # noqa: E402 - the path comes first

# A session is four sockets: the client's, the proxy's two, the origin's. More than a queue of clients waits for them.
SOCKETS_OF_A_SESSION = 4
AT_ONCE = 500
SECONDS = 30
# Answers of 64 KiB: together more than all buffers on the way hold.
FLOOD_REQUESTS = 500


def open_sessions(address: str, port: int, count: int) -> list[socket.socket]:
    before = sockets.connections()
    held = []
    while len(held) < count:
        for _ in range(min(AT_ONCE, count - len(held))):
            held.append(socket.create_connection((address, port), timeout=SECONDS))
        deadline = time.monotonic() + SECONDS
        while sockets.connections() < before + SOCKETS_OF_A_SESSION * len(held):
            if time.monotonic() > deadline:
                sys.exit(f"only {sockets.connections() - before} sockets are open for {len(held)} sessions")
            time.sleep(0.005)
    return held


def ask(session: socket.socket) -> None:
    session.sendall(b"GET /100 HTTP/1.1\r\nHost: held\r\n\r\n")
    answer = b""
    while not answer.endswith(b"x" * 100):
        piece = session.recv(65536)
        if not piece:
            sys.exit(f"a session ended before its answer: {answer!r}")
        answer += piece


def flood(session: socket.socket) -> None:
    session.sendall(b"GET /65536 HTTP/1.1\r\nHost: held\r\n\r\n" * FLOOD_REQUESTS)


def main() -> None:
    address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    held: list[socket.socket] = []
    for line in sys.stdin:
        command = line.strip()
        if command == "open":
            held = open_sessions(address, port, count)
        elif command == "ask":
            for session in held:
                ask(session)
        elif command == "flood":
            for session in held:
                flood(session)
        elif command == "close":
            for session in held:
                session.close()
            held = []
        print(command, flush=True)


main()
