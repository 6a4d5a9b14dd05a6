"""Run a program so that it cannot outlive the supervisor: `exec_shim.py PARENT SIGNAL UID GID -- ARGV`.

Run with `python -I -S` for speed, and on its own: it imports nothing of Rempart. It asks the kernel to send
SIGNAL when the supervisor dies (prctl PR_SET_PDEATHSIG), and then becomes the program, so that the process id
the supervisor holds is the program's. A shim rather than `preexec_fn`: that one runs Python between fork and
exec, which may deadlock in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
EXIT_NOT_STARTED = 127


def main(arguments: list[str]) -> None:
    """Become the program named after `--`; ends with 127 if it cannot be started."""
    parent, death_signal, uid, gid = (int(value) for value in arguments[:4])
    argv = arguments[5:]
    if os.geteuid() == 0 and uid != 0:
        # Groups first: after setuid nothing may be given up any more.
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After setuid: a change of identity clears the request (prctl(2)).
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit(EXIT_NOT_STARTED)
    # The supervisor may have died before the request stood; then nobody would ever send the signal.
    if os.getppid() != parent:
        sys.exit(EXIT_NOT_STARTED)
    # Python ignores these two; an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as err:
        sys.stderr.write(f"{argv[0]} cannot be started: {err.strerror}\n")
        sys.exit(EXIT_NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
