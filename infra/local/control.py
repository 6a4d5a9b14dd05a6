"""How a command talks to the supervisor: one JSON line each way over a Unix socket only its owner opens."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]

MESSAGE_BYTES_MAX = 256 * 1024  # A status of thirty programs is 10 kB.
CLIENT_SECONDS_MAX = 10.0
# The supervisor serves its commands between looks at its programs: a client that says nothing must not
# keep it from them.
SERVER_SECONDS_MAX = 0.5
BACKLOG = 16


class NotRunning(Exception):
    """No supervisor answers."""


def ask(path: Path, message: Message) -> Message:
    """Send one request and return the answer. Errors: NotRunning."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(CLIENT_SECONDS_MAX)
        try:
            client.connect(str(path))
            client.sendall(json.dumps(message).encode() + b"\n")
            answer = json.loads(_read_line(client))
        except (OSError, ValueError) as err:
            raise NotRunning("the local stack is not running") from err
    assert isinstance(answer, dict)
    return answer


class ControlServer:
    """The supervisor's end; `serve_waiting` answers whoever waits and returns at once."""

    def __init__(self, path: Path, answer: Callable[[Message], Message]) -> None:
        self._path = path
        self._answer = answer
        # The holder of the supervisor's lock is the only one who comes here: a socket that is left is dead.
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)

    def serve_waiting(self) -> None:
        """Answer at most a backlog's worth of requests."""
        for _ in range(BACKLOG):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            with connection:
                self._serve(connection)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(SERVER_SECONDS_MAX)
        try:
            request = json.loads(_read_line(connection))
            answer = (
                self._answer(request) if isinstance(request, dict) else {"error": "an object is expected"}
            )
            connection.sendall(json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError):
            # The client left or spoke nonsense: its loss, and nothing of ours depends on it.
            return


def _read_line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < MESSAGE_BYTES_MAX:
        chunk = connection.recv(65536)
        if not chunk:
            break
        data += chunk
    return data
