"""How the story is told: readable steps on the terminal, the same in `transcript.md`, figures in `summary.json`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status


class StoryBroken(Exception):
    """Something did not happen as the story says; the message says what was expected and what was seen."""


@dataclass(slots=True)
class Teller:
    """Prints, remembers, and measures. Every figure that is shown is also in `figures`."""

    folder: Path
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    figures: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    chapters: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def chapter(self, number: int, title: str) -> Iterator[None]:
        self.console.print(f"\n[bold]{number}. {title}[/bold]")
        self.lines += ["", f"## {number}. {title}", ""]
        began = time.monotonic()
        yield
        took = round(time.monotonic() - began, 2)
        self.chapters.append({"number": number, "title": title, "seconds": took})
        self.console.print(f"   [dim]{took:.1f} s[/dim]")

    def say(self, text: str) -> None:
        """One thing that was done or seen."""
        self.console.print("   " + text, markup=False)
        self.lines.append(f"- {text}")

    def quote(self, text: str) -> None:
        """What a program printed, as it printed it."""
        self.console.print(
            "\n".join("     " + line for line in text.rstrip().splitlines()), markup=False, style="dim"
        )
        self.lines += ["", "```text", text.rstrip(), "```", ""]

    def figure(self, name: str, value: Any) -> None:
        self.figures[name] = value

    def waiting(self, text: str) -> Status:
        return self.console.status(f"   {text}")

    def keep(self, name: str, document: Any) -> None:
        """Leave a document among the artefacts."""
        self.keep_file(name, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())

    def keep_file(self, name: str, content: bytes) -> Path:
        """Leave a file among the artefacts; `name` may name a folder before it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def finish(self) -> None:
        self.figures["wall_seconds"] = round(time.monotonic() - self.started, 1)
        summary = {
            "simulated": (
                "GPU nodes (kwok), the GPUs of the customers of chapter 9, the moves of the clock, the answer of VIES, "
                "the seller and the certificates are made up, and named so; the process node, the model and every "
                "answer are real"
            ),
            "chapters": self.chapters,
            **self.figures,
        }
        self.keep("summary.json", summary)
        transcript = "\n".join(["# What the demo did", *self.lines, ""])
        (self.folder / "transcript.md").write_text(transcript, encoding="utf-8")


def require(condition: object, sentence: str) -> None:
    """The story checks itself: what it claims to show must be so."""
    if not condition:
        raise StoryBroken(sentence)
