"""The resource × role matrix: one table is the rule, the documentation and the test's oracle.

Letters: r read, c create, u update, d delete, o operate; `-` nothing. `billing` and `auditor` see no logs of
workloads and nobody but those who deploy sees secrets' names; an auditor reads facts, money and proofs. Of the
operator's people, `platform_sre` runs sites and machines, `platform_billing` invoices, prices and books, and
`platform_auditor` reads; only `platform` makes keys, suspends customers and gives a way back in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controlplane.kernel.access import Action, Resource
from controlplane.kernel.principal import Role

TABLE: Final = """
               owner  admin  developer  billing  auditor  viewer  platform  sre    biller  reviewer  producer
organization   ru     r      r          ru       r        r       rcuo      r      r       r         -
project        rcud   rcud   r          r        r        r       -         -      -       -         -
quota          r      r      r          r        r        r       ru        ru     r       r         -
api_key        rcud   rcud   -          -        r        -       o         -      -       -         -
operator_key   -      -      -          -        -        -       rcud      -      -       r         -
audit_event    r      r      -          -        r        -       r         r      -       r         -
security_event r      r      -          -        r        -       r         r      -       r         -
app            rcud   rcud   rcud       -        r        r       -         -      -       -         -
service        rcudo  rcudo  rcudo      -        r        r       -         -      -       -         -
deployment     rcudo  rcudo  rcudo      -        r        r       r         r      -       r         -
instance       ro     ro     ro         -        r        r       r         r      -       r         -
log            r      r      r          -        -        -       -         -      -       -         -
secret         rcud   rcud   rcud       -        -        -       -         -      -       -         -
domain         rcud   rcud   rcud       -        r        r       -         -      -       -         -
inference      o      o      o          -        -        -       -         -      -       -         -
usage          r      r      r          r        r        r       rc        r      r       r         c
invoice        r      r      -          r        r        -       rcuo      -      rcuo    r         -
cost           rc     rc     rc         rc       r        r       r         -      r       r         -
budget         ru     ru     r          ru       r        r       -         -      -       -         -
price          r      r      r          r        r        r       rcu       -      rcu     r         -
ledger         -      -      -          -        -        -       rcuo      -      rcuo    r         -
requirement    rcud   rcud   r          -        r        r       rcud      r      -       r         -
verdict        rc     rc     rc         r        r        r       rco       r      -       r         -
receipt        r      r      r          r        r        r       r         -      r       r         -
legal_entity   r      r      r          r        r        r       rcud      r      r       r         -
certification  r      r      r          r        r        r       rcud      r      -       r         -
datacenter     r      r      r          r        r        r       rcudo     rcudo  -       r         -
cell           -      -      -          -        -        -       rcudo     rcudo  -       r         -
node_pool      -      -      -          -        -        -       rcudo     rcudo  -       r         -
node           -      -      -          -        -        -       rcudo     rcudo  -       r         -
reservation    -      -      -          -        -        -       ro        ro     -       r         -
model          r      r      r          r        r        r       rcud      rcud   -       r         -
instance_type  r      r      r          r        r        r       rcud      rcud   -       r         -
decision       r      r      r          -        r        r       r         r      -       r         -
clock          -      -      -          -        -        -       ru        r      -       r         -
delivery       -      -      -          -        -        -       ro        ro     -       r         -
"""

# Columns whose role's name would not fit.
_COLUMNS: Final = {"sre": "platform_sre", "biller": "platform_billing", "reviewer": "platform_auditor"}
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
    {Resource.API_KEY, Resource.AUDIT_EVENT, Resource.SECURITY_EVENT, Resource.INVOICE, Resource.BUDGET}
)


def parse_table(table: str) -> Mapping[tuple[Role, Resource], frozenset[Action]]:
    """Read the table; ValueError when a resource or role is missing, doubled or unknown."""
    header, *rows = [line.split() for line in table.strip().splitlines()]
    roles = [Role(_COLUMNS.get(name, name)) for name in header]
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
