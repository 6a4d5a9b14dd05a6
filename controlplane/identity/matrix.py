"""The resource × role matrix: one table is the rule, the documentation and the test's oracle.

Letters: r read, c create, u update, d delete, o operate; `-` nothing. `billing` and `auditor` see no logs of
workloads and nobody but those who deploy sees secrets' names; an auditor reads facts, money and proofs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controlplane.kernel.access import Action, Resource
from controlplane.kernel.principal import Role

TABLE: Final = """
                owner  admin  developer  billing  auditor  viewer  platform  producer
organization    ru     r      r          ru       r        r       rcuo      -
project         rcud   rcud   r          r        r        r       -         -
quota           r      r      r          r        r        r       ru        -
api_key         rcud   rcud   -          -        r        -       -         -
audit_event     r      r      -          -        r        -       r         -
app             rcud   rcud   rcud       -        r        r       -         -
service         rcudo  rcudo  rcudo      -        r        r       -         -
deployment      rcudo  rcudo  rcudo      -        r        r       r         -
instance        ro     ro     ro         -        r        r       r         -
log             r      r      r          -        -        -       -         -
secret          rcud   rcud   rcud       -        -        -       -         -
domain          rcud   rcud   rcud       -        r        r       -         -
inference       o      o      o          -        -        -       -         -
usage           r      r      r          r        r        r       rc        c
invoice         r      r      -          r        r        -       rcuo      -
cost            rc     rc     rc         rc       r        r       r         -
budget          ru     ru     r          ru       r        r       -         -
price           r      r      r          r        r        r       rcu       -
ledger          -      -      -          -        -        -       rcuo      -
requirement     rcud   rcud   r          -        r        r       rcud      -
verdict         rc     rc     rc         r        r        r       rco       -
receipt         r      r      r          r        r        r       r         -
legal_entity    r      r      r          r        r        r       rcud      -
certification   r      r      r          r        r        r       rcud      -
datacenter      r      r      r          r        r        r       rcudo     -
cell            -      -      -          -        -        -       rcudo     -
node_pool       -      -      -          -        -        -       rcudo     -
node            -      -      -          -        -        -       rcudo     -
reservation     -      -      -          -        -        -       ro        -
model           r      r      r          r        r        r       rcud      -
instance_type   r      r      r          r        r        r       rcud      -
decision        r      r      r          -        r        r       r         -
clock           -      -      -          -        -        -       ru        -
delivery        -      -      -          -        -        -       ro        -
"""

_LETTERS: Final = {
    "r": Action.READ,
    "c": Action.CREATE,
    "u": Action.UPDATE,
    "d": Action.DELETE,
    "o": Action.OPERATE,
}

# A key that is bound to one project may read these, and change only what lies in its project.
ORGANIZATION_WIDE: Final = frozenset({Resource.ORGANIZATION, Resource.PROJECT, Resource.QUOTA})
# …and has no business with these at all.
CLOSED_TO_PROJECT_KEYS: Final = frozenset(
    {Resource.API_KEY, Resource.AUDIT_EVENT, Resource.INVOICE, Resource.BUDGET}
)


def parse_table(table: str) -> Mapping[tuple[Role, Resource], frozenset[Action]]:
    """Read the table; ValueError when a resource or role is missing, doubled or unknown."""
    header, *rows = [line.split() for line in table.strip().splitlines()]
    roles = [Role(name) for name in header]
    if sorted(roles) != sorted(Role):
        raise ValueError("the matrix must name every role once")
    if sorted(row[0] for row in rows) != sorted(Resource):
        raise ValueError("the matrix must have one row for every resource")
    cells: dict[tuple[Role, Resource], frozenset[Action]] = {}
    for name, *row in rows:
        for role, letters in zip(roles, row, strict=True):
            actions = frozenset() if letters == "-" else frozenset(_LETTERS[letter] for letter in letters)
            cells[(role, Resource(name))] = actions
    return cells


MATRIX: Final = parse_table(TABLE)
