"""Chapter 10: the tenant's project and service as a Pulumi program, run by the real engine: up, up again, destroy."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Self

from infra.demo.stage import Stage
from infra.demo.teller import StoryBroken, Teller, require
from infra.demo.tenant import Tenant
from infra.provider.engine import EngineMissing
from infra.provider.example import Life, Wish, live
from infra.provider.workspace import RunFailed

WISH = Wish(instance_type="process-cpu")
ENGINE_SECONDS_MAX = 180


class AsCode:
    """The program's whole life, begun two chapters early: its engine waits more than it works."""

    def __init__(self, stage: Stage, tenant: Tenant) -> None:
        self._tenant = tenant
        self._seen: list[dict[str, object]] = []
        self._began, self._seconds = time.monotonic(), 0.0
        self._key = tenant.key
        self._state = stage.state_dir.parent / "pulumi"
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pulumi")
        self._life: Future[Life] = pool.submit(
            live,
            self._state,
            WISH,
            api_url=stage.environment["REMPART_API_URL"],
            api_key=tenant.key,
            passphrase=secrets.token_hex(16),
            while_up=self._look,
        )
        self._life.add_done_callback(self._note_end)
        pool.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the engine end while its API still answers, also when the story breaks: else it would wait for ever."""
        wait([self._life], timeout=ENGINE_SECONDS_MAX)

    def _note_end(self, _: Future[Life]) -> None:
        self._seconds = time.monotonic() - self._began

    def _look(self, outputs: Mapping[str, object]) -> None:
        """While the program is up: the service that it declared is there, in the project that it declared."""
        with_key = self._tenant.client
        self._seen.append(dict(with_key.services.get(str(outputs["service_id"]))))

    def tell(self, teller: Teller) -> None:
        with teller.waiting("Pulumi: up, up again, destroy"):
            try:
                life = self._life.result(timeout=ENGINE_SECONDS_MAX)
            except (RunFailed, EngineMissing, TimeoutError) as err:
                raise StoryBroken(f"Pulumi: {type(err).__name__}: {err}") from err
        require(self._seen and self._seen[0]["name"] == WISH.service, "the declared service must exist")
        require(life.changes_of_up_again == 0, f"the second `up` changed something: {life.up_again}")
        left = [each["name"] for each in self._tenant.client.projects.list() if each["name"] == WISH.project]
        require(not left, "after `destroy` the project must be gone")
        in_state = [
            path
            for path in self._state.rglob("*")
            if path.is_file() and self._key.encode() in path.read_bytes()
        ]
        require(not in_state, f"the key is in {in_state}")
        teller.say(
            f"a Pulumi program declares project '{WISH.project}' and service '{WISH.service}': up {_count(life.up)}; "
            f"up again {_count(life.up_again)}, 0 changes; destroy {_count(life.destroy)}; no key in its state"
            f" (it ran beside the chapters before, for {self._seconds:.0f} s)"
        )
        teller.figure(
            "pulumi",
            {
                "up": dict(life.up),
                "up_again": dict(life.up_again),
                "up_again_changes": life.changes_of_up_again,
                "destroy": dict(life.destroy),
                "seconds": round(self._seconds, 1),
            },
        )


def _count(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))
