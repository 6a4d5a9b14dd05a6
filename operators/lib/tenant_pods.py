"""What a tenant's pod tolerates. One source for both ends: who builds the pods, and who judges nodes for them."""

from collections.abc import Iterable

from operators.lib.objects import Obj

SIMULATED = {"key": "rempart.eu/simulated", "value": "true", "effect": "NoSchedule"}


def tolerated_taints(pool_taints: Iterable[Obj]) -> tuple[Obj, ...]:
    """Taints that every pod of a tenant on a pool tolerates; `pool_taints` are the pool's own.

    A pool's own taints are not among them yet: they shut tenants out, and the nodes say so.
    """
    del pool_taints
    return (SIMULATED,)


def tolerations(pool_taints: Iterable[Obj] = ()) -> list[Obj]:
    """The same as tolerations of a pod: key, value and effect must all be equal."""
    return [
        {"key": taint["key"], "operator": "Equal", "value": taint["value"], "effect": taint["effect"]}
        for taint in tolerated_taints(pool_taints)
    ]
