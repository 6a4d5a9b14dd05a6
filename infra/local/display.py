"""What a person sees of the stack: steps as they are done, a table, coloured log lines."""

from types import TracebackType

from rich.console import Console
from rich.status import Status as Spinner
from rich.table import Table
from rich.text import Text

from infra.local.build_rules import describe_duration
from infra.local.control import Message

COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "bright_blue")
MARKS = {"ready": "[green]✓[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]", "backing off": "[yellow]↻[/]"}
NAME_WIDTH = 28
PLAIN_WIDTH = 160  # Of lines that go to a file or a pipe.


class Display:
    """Prints each change once; in a terminal it also names what is being waited for."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = PLAIN_WIDTH
        self._spinner: Spinner | None = None
        self._seen: dict[str, str] = {}

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._spinner = self._console.status("starting")
            self._spinner.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spinner is not None:
            self._spinner.stop()

    def note(self, program: Message) -> None:
        """Take in one program's status; print it if it means something new to a person."""
        name, state = str(program["name"]), str(program["state"])
        if self._seen.get(name) == state:
            return
        self._seen[name] = state
        if state in MARKS:
            line = Text.from_markup(f"  {MARKS[state]} ")
            line.append(f"{name:<{NAME_WIDTH}}")
            line.append(str(program["about"] if state in {"ready", "done"} else program["reason"]), "dim")
            self._console.print(line, soft_wrap=True)
        if self._spinner is not None:
            waiting = [other for other, at in self._seen.items() if at == "starting"]
            self._spinner.update(f"starting {', '.join(waiting)}" if waiting else "starting")

    def table(self, answer: Message) -> None:
        """The whole status."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("PROGRAM", "STATE", "FOR", "PID", "RESTARTS", "WHAT"):
            table.add_column(title, overflow="fold", no_wrap=title in {"PROGRAM", "STATE", "FOR"})
        for program in answer["programs"]:
            state = str(program["state"])
            colour = "green" if state in {"ready", "done"} else "red" if state == "failed" else "yellow"
            words = str(program["about"])
            if program["reason"] and state not in {"ready", "done"}:
                words = f"{words}: {program['reason']}"
            table.add_row(
                str(program["name"]),
                Text(state, colour),
                describe_duration(float(program["seconds"])),
                str(program["pid"] or ""),
                str(program["restarts"]),
                Text(words),
            )
        self._console.print(f"The stack is {answer['phase']}.")
        self._console.print(table)

    def log_line(self, name: str, line: str) -> None:
        """One line of a program's log, behind its name."""
        colour = COLOURS[sum(name.encode()) % len(COLOURS)]
        self._console.print(Text(f"{name:<{NAME_WIDTH}}", colour).append(line, "default"), soft_wrap=True)
