"""An origin that speaks first: sends a fixed number of bytes to whoever connects, and closes.

usage: greet.py PORT BYTES
"""

import socket
import sys


def main() -> None:
    port, size = int(sys.argv[1]), int(sys.argv[2])
    text = b"x" * size
    with socket.create_server(("0.0.0.0", port), backlog=4096) as server:
        while True:
            connection, _ = server.accept()
            try:
                connection.sendall(text)
            except OSError:
                pass
            connection.close()


main()
