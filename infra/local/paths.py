"""Where the local stack keeps what: one folder for its state, one cache for what it built."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# A Unix socket's path has at most 107 bytes on Linux (sockaddr_un); the longest name we put in a socket
# folder is `.s.PGSQL.5432.lock`.
SOCKET_FOLDER_BYTES_MAX = 107 - len("/.s.PGSQL.5432.lock")


def cache_folder() -> Path:
    """The user's cache folder for Rempart; outlives clones, safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "rempart"


def ensure_private_folder(path: Path) -> Path:
    """Make `path` a folder that only its owner enters."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def allow_passing(folder: Path) -> None:
    """Let other users walk through `folder` and its parents (not list them), where they cannot yet.

    Only ever done as the superuser, for what must not run as one.
    """
    for step in (folder, *folder.parents):
        mode = stat.S_IMODE(step.stat().st_mode)
        if not mode & stat.S_IXOTH:
            step.chmod(mode | stat.S_IXOTH)


def socket_folder(state: Path, name: str) -> Path:
    """A folder for Unix sockets, inside `state` if the path is short enough, else a private one in the
    system's temporary folder, named after `state` so that two stacks never share it."""
    inside = state / name
    if len(os.fsencode(inside)) <= SOCKET_FOLDER_BYTES_MAX:
        return inside
    mark = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"rempart-{os.getuid()}-{mark}-{name}"


def write_private(path: Path, text: str) -> None:
    """Write `text` so that no other user ever reads it and no reader ever sees half of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one stack; `root` is `build/local` unless REMPART_LOCAL_DIR says otherwise."""

    root: Path

    @property
    def repository(self) -> Path:
        """The checkout: programs run in it, so that `python -m` finds them."""
        return REPOSITORY

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def state(self) -> Path:
        """What REMPART_STATE_DIR points at: spools, cursors, Envoy's configuration."""
        return self.root / "state"

    @property
    def kubernetes(self) -> Path:
        return self.root / "kubernetes"

    @property
    def hosts(self) -> Path:
        """What REMPART_PROCESS_HOSTS_DIR points at."""
        return self.root / "hosts"

    @property
    def environment_file(self) -> Path:
        return self.root / "env"

    @property
    def secrets_file(self) -> Path:
        return self.root / "secrets.json"

    @property
    def admin_key_file(self) -> Path:
        return self.root / "admin-key"

    @property
    def gateway_key_file(self) -> Path:
        """The key with which the gateway reports requests, and nothing else."""
        return self.root / "gateway-key"

    @property
    def cell_key_file(self) -> Path:
        """The key with which the cell's operators report GPU time, and nothing else."""
        return self.root / "cell-key"

    @property
    def registry_file(self) -> Path:
        return self.run / "processes.json"

    @property
    def lock_file(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def control_socket(self) -> Path:
        return socket_folder(self.root, "run") / "control"

    @classmethod
    def current(cls) -> "Layout":
        """The stack this shell means: REMPART_LOCAL_DIR, else `build/local` of this checkout."""
        chosen = os.environ.get("REMPART_LOCAL_DIR", "")
        return cls(Path(chosen).resolve() if chosen else REPOSITORY / "build" / "local")

    def ensure(self) -> None:
        """Make the folders; everything below `root` is for its owner only."""
        # The root itself stays enterable: when the owner is the superuser, PostgreSQL runs as another user.
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (
            self.logs,
            self.run,
            self.state,
            self.hosts,
            self.kubernetes,
            self.control_socket.parent,
        ):
            ensure_private_folder(folder)
