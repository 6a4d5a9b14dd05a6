"""Opening a stack and running it without a project folder, an account or a network: the program is a function.

The state, the stack's settings and the engine's own home stand in one folder. Secrets in the state are encrypted with
a key that is derived from the passphrase; without the passphrase nobody opens the state again.
"""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pulumi import automation
from pulumi.automation.events import EngineEvent

from infra.provider.engine import PYTHON_VARIABLE, Engine, find_engine
from infra.provider.providers import STACK_ID
from infra.provider.session import KEY_VARIABLE, URL_VARIABLE

R = TypeVar("R")
Program = Callable[[], None]
Say = Callable[[str], None]
REPOSITORY = Path(__file__).resolve().parents[2]
# The engine's words for what it did to a resource that mean nothing changed.
_UNCHANGED = frozenset({"same", "read"})
# Said after the reasons of every failed run, and no reason itself.
_SUMMARY = re.compile(r"(update|preview|refresh|destroy) failed")
_MARKUP = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_WRAPPING = re.compile(r"^(error: )?(.*Exception calling application: )?", re.DOTALL)


class RunFailed(Exception):
    """A run did not do all it was asked; the message is what the engine and the resources said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: how many resources by the engine's words (`create`, `update`, `same`, `delete`, …), what the
    program exported, and what was printed."""

    counts: Mapping[str, int]
    outputs: Mapping[str, object]
    text: str

    @property
    def changes(self) -> int:
        """How many resources were changed."""
        return sum(count for word, count in self.counts.items() if word not in _UNCHANGED)


@dataclass(frozen=True, slots=True)
class OpenStack:
    """A stack that can be run again and again. Errors of each run: RunFailed."""

    stack: automation.Stack
    say: Say

    def up(self) -> Outcome:
        """Make the world as declared."""
        result = self._run(lambda watch: self.stack.up(on_event=watch, on_output=self.say, color="never"))
        return _outcome(result, {name: value.value for name, value in result.outputs.items()})

    def preview(self) -> Mapping[str, int]:
        """What `up` would do, by the engine's words."""
        result = self._run(
            lambda watch: self.stack.preview(on_event=watch, on_output=self.say, color="never")
        )
        return {str(word): count for word, count in result.change_summary.items()}

    def refresh(self) -> Outcome:
        """Let the state know what the server has; `update` counts what somebody else changed."""
        return _outcome(
            self._run(lambda watch: self.stack.refresh(on_event=watch, on_output=self.say, color="never"))
        )

    def destroy(self) -> Outcome:
        """Delete all that the state knows."""
        return _outcome(
            self._run(lambda watch: self.stack.destroy(on_event=watch, on_output=self.say, color="never"))
        )

    def unlock(self) -> None:
        """Take away the lock that a killed run left. Only for who knows that no other run goes on."""
        self._run(lambda _: self.stack.cancel())

    def _run(self, run: Callable[[Callable[[EngineEvent], None]], R]) -> R:
        faults: list[str] = []

        def watch(event: EngineEvent) -> None:
            found = event.diagnostic_event
            if found is not None and found.severity == "error":
                faults.append(_readable(found.message))

        try:
            return run(watch)
        except automation.ConcurrentUpdateError as error:
            raise RunFailed(
                "Another run holds this stack. If you know that it was killed, take its lock away with `unlock`."
            ) from error
        except automation.CommandError as error:
            told = [fault for fault in dict.fromkeys(faults) if fault and not _SUMMARY.fullmatch(fault)]
            raise RunFailed("\n".join(told) or _complaint(error)) from error


def open_stack(
    program: Program,
    folder: Path,
    *,
    project: str,
    stack: str,
    passphrase: str,
    api_url: str = "",
    api_key: str = "",
    environment: Mapping[str, str] | None = None,
    engine: Engine | None = None,
    say: Say = lambda _: None,
) -> OpenStack:
    """Open (or make) a stack whose whole state stands under `folder`.

    The key goes into the environment of the engine's processes and nowhere else; without one they keep what this
    process has. `say` gets each line the engine prints.
    Errors: EngineMissing; RunFailed, for example for a wrong passphrase.
    """
    chosen = engine or find_engine()
    folder = folder.absolute()
    state, home, settings = folder / "state", folder / "home", folder / "settings"
    for each in (folder, state, home, settings):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = automation.LocalWorkspaceOptions(
        work_dir=str(settings),
        pulumi_home=str(home),
        program=program,
        project_settings=automation.ProjectSettings(
            name=project, runtime="python", backend=automation.ProjectBackend(url=state.as_uri()), main="."
        ),
        env_vars=_variables(api_url, api_key, passphrase) | dict(environment or {}),
        pulumi_command=automation.PulumiCommand(root=None if chosen.root is None else str(chosen.root)),
    )
    try:
        opened = automation.create_or_select_stack(stack, project_name=project, program=program, opts=options)
    except automation.CommandError as error:
        raise RunFailed(_complaint(error)) from error
    _name_stack(opened)
    return OpenStack(opened, say)


def _variables(api_url: str, api_key: str, passphrase: str) -> dict[str, str]:
    path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **({URL_VARIABLE: api_url} if api_url else {}),
        **({KEY_VARIABLE: api_key} if api_key else {}),
        PYTHON_VARIABLE: sys.executable,
        "PYTHONPATH": os.pathsep.join(path),
        "PULUMI_CONFIG_PASSPHRASE": passphrase,
        # Nothing here asks another machine: no account, no newer version, no plugin.
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


def _name_stack(stack: automation.Stack) -> None:
    """Give the stack an identity of its own, once: creation exactly once is decided by it (`session.create_once`)."""
    settings = stack.workspace.stack_settings(stack.name)
    config = dict(settings.config or {})
    if STACK_ID not in config:
        settings.config = {**config, STACK_ID: uuid.uuid4().hex}
        stack.workspace.save_stack_settings(stack.name, settings)


def _outcome(result: object, outputs: Mapping[str, object] | None = None) -> Outcome:
    summary = getattr(result, "summary", None)
    counts = dict(getattr(summary, "resource_changes", None) or {})
    return Outcome(
        {str(word): int(count) for word, count in counts.items()},
        outputs or {},
        str(getattr(result, "stdout", "")),
    )


def _complaint(error: automation.CommandError) -> str:
    """What the engine wrote when it told of nothing by events: its standard error, which the SDK wraps."""
    return _readable(str(error).rpartition("stderr:")[2])


def _readable(text: str) -> str:
    """The engine's message without colours and without the wrapping of the protocol between its processes."""
    return _WRAPPING.sub("", _MARKUP.sub("", text).strip()).strip()
