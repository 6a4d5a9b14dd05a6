"""Use cases of the sovereignty room: record and end facts, judge places, notice when a judgement changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from controlplane.kernel.ids import LegalEntityId
from controlplane.plumbing.database import UnitOfWork
from controlplane.sovereignty import repository
from controlplane.sovereignty.domain import FactSet, Foreseen, Requirement, SiteFacts, Verdict
from controlplane.sovereignty.events import VerdictsChanged
from controlplane.sovereignty.models import VerdictRow
from controlplane.sovereignty.requirement_rules import dump_requirement, load_requirement
from controlplane.sovereignty.verdict_rules import judge_sites, site_key

# One transaction of the sweep judges this many kept verdicts; the next one goes on where it ended.
SWEEP_BATCH = 200
# How far, and how often, the announced facts about one site are looked through.
FORESIGHT = timedelta(days=366)
INSTANTS_MAX = 24
# Longer than any transaction lasts; shorter than the time between two sweeps, each of which decides anew.
FORGET_AFTER = timedelta(minutes=10)


def evaluate(
    uow: UnitOfWork, sites: Sequence[SiteFacts], requirement: Requirement, at: datetime
) -> dict[str, Verdict]:
    """Judge each site against the requirement by the facts that hold at `at`; changes nothing.

    Works in a tenant's transaction and in a read-only one. Whoever relies on the result calls `keep_verdicts`.
    """
    return judge_sites(sites, requirement, load_facts(uow, sites, at), at)


def read_foreseen(uow: UnitOfWork, policy_hash: str, site_code: str) -> Foreseen | None:
    """What is announced to end a kept verdict; None where nothing is, or no such verdict is kept."""
    return repository.find_foreseen(uow, policy_hash, site_code)


def _summarize(
    uow: UnitOfWork, site: SiteFacts, requirement: Requirement, verdict: Verdict
) -> Foreseen | None:
    if not verdict.is_admissible:
        return None
    against = foresee(uow, site, requirement, verdict.decided_at)
    if against is None:
        return None
    return Foreseen(against.decided_at, " ".join(reason.text.en for reason in against.reasons))


def foresee(uow: UnitOfWork, site: SiteFacts, requirement: Requirement, at: datetime) -> Verdict | None:
    """Return the first verdict against a site that stated facts already announce, None where they announce none.

    Looks at each instant at which a stated fact begins or ends, up to a year ahead and INSTANTS_MAX of them.
    """
    now = at
    for _ in range(INSTANTS_MAX):
        facts = load_facts(uow, [site], now)
        changes = [change.at for change in site.changes if change.at > now]
        stated = repository.find_next_change(uow, facts, site.code, now)
        ahead = min([*changes, *([stated] if stated else [])], default=None)
        if ahead is None or ahead > at + FORESIGHT:
            return None
        now = ahead
        verdict = evaluate(uow, [site], requirement, now)[site.code]
        if not verdict.is_admissible:
            return verdict
    return None


def keep_verdicts(
    uow: UnitOfWork, sites: Sequence[SiteFacts], requirement: Requirement, verdicts: Mapping[str, Verdict]
) -> None:
    """Remember verdicts that a placement relies on, so that `verdicts.changed` tells when they change.

    Needs a platform transaction. Sites without a verdict are passed over. The facts are looked at once more, locked:
    where one changed since the caller judged, what is kept is the new verdict, and `verdicts.changed` says so.
    """
    elapsed = repository.lock_facts(uow, is_writer=False)
    document: dict[str, object] = dict(dump_requirement(requirement))
    kept = sorted((site for site in sites if site.code in verdicts), key=lambda site: site.code)
    fresh = evaluate(uow, kept, requirement, uow.now + elapsed)
    for site in kept:
        verdict = fresh[site.code]
        repository.save_verdict(uow, verdict, document, site, _summarize(uow, site, requirement, verdict))
    changed = tuple(
        site.code for site in kept if outcome_of(fresh[site.code]) != outcome_of(verdicts[site.code])
    )
    if changed:
        uow.emit(VerdictsChanged(changed, (fresh[changed[0]].policy_hash,)))


def forget_verdicts(uow: UnitOfWork, relied_on: Collection[str]) -> int:
    """Stop watching policies that nobody relies on any more (platform transaction); how many verdicts went.

    `relied_on` are hashes of requirements, read in this transaction. A verdict that was decided within the last
    FORGET_AFTER stays: whoever keeps it may not have committed what relies on it.
    """
    return repository.delete_verdicts_besides(uow, relied_on, uow.now - FORGET_AFTER)


def load_facts(uow: UnitOfWork, sites: Sequence[SiteFacts], at: datetime) -> FactSet:
    placed = [site.as_of(at) for site in sites]
    entity_ids = {
        e for site in placed for e in (site.operator_entity_id, site.owner_entity_id) if e is not None
    }
    return repository.load_facts(uow, sorted(entity_ids), sorted({site.code for site in sites}), at)


def restate_site(uow: UnitOfWork, site: SiteFacts) -> int:
    """Judge again the kept verdicts of a site that states something new of itself; return how many changed."""
    rows = repository.list_verdicts_watching(uow, [site_key(site.code)])
    return _judge_again(uow, rows, (), {site.code: site})


def reassess(uow: UnitOfWork, keys: Sequence[str]) -> int:
    """Judge again the kept verdicts that read facts about these entities and sites; return how many changed."""
    entity_ids = tuple(key for key in keys if key.startswith(LegalEntityId.prefix + "_"))
    return _judge_again(uow, repository.list_verdicts_watching(uow, list(keys)), entity_ids)


def sweep(uow: UnitOfWork, after: tuple[str, str]) -> tuple[tuple[str, str] | None, int]:
    """Judge a batch of kept verdicts again, for what the calendar alone changes.

    Returns the key to go on from (None at the end) and how many verdicts changed.
    """
    rows = repository.list_verdicts_after(uow, after, SWEEP_BATCH)
    changed = _judge_again(uow, rows, ())
    is_last = len(rows) < SWEEP_BATCH
    return (None if is_last else (rows[-1].policy_hash, rows[-1].site_code)), changed


def outcome_of(verdict: Verdict) -> tuple[bool, list[str]]:
    """What a change is noticed by: the answer and which rules fail, not the wording."""
    return verdict.is_admissible, [str(reason.code) for reason in verdict.reasons]


def _judge_again(
    uow: UnitOfWork,
    rows: Sequence[VerdictRow],
    entity_ids: tuple[str, ...],
    restated: Mapping[str, SiteFacts] = MappingProxyType({}),
) -> int:
    by_policy: dict[str, list[VerdictRow]] = {}
    for row in rows:
        by_policy.setdefault(row.policy_hash, []).append(row)
    policies: set[str] = set()
    site_codes: set[str] = set()
    count = 0
    for policy_hash, kept in by_policy.items():
        requirement = load_requirement(kept[0].requirement)
        sites = [restated.get(row.site_code) or repository.load_site(row) for row in kept]
        before = {
            row.site_code: ((row.is_admissible, row.reason_codes), repository.load_foreseen(row.foreseen))
            for row in kept
        }
        verdicts = evaluate(uow, sites, requirement, uow.now)
        for site in sites:
            verdict = verdicts[site.code]
            foreseen = _summarize(uow, site, requirement, verdict)
            repository.save_verdict(uow, verdict, dict(kept[0].requirement), site, foreseen)
            if before[site.code] != (outcome_of(verdict), foreseen):
                policies.add(policy_hash)
                site_codes.add(site.code)
                count += 1
    if count:
        uow.emit(VerdictsChanged(tuple(sorted(site_codes)), tuple(sorted(policies)), entity_ids))
    return count
