"""Random ownership graphs: pyramids, loops, cross-holdings, dual-class shares, gaps."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.unit.sovereignty.facts import Register

COUNTRIES = ("FR", "SE", "US", "AE", None)


@st.composite
def registers(draw: st.DrawFn, *, is_complete: bool = False, entities_max: int = 6) -> Register:
    """A register whose first company is `e0`; complete ones leave no share and no place unstated."""
    register = Register()
    count = draw(st.integers(2, entities_max))
    names = [f"e{i}" for i in range(count)]
    countries = COUNTRIES[:-1] if is_complete else COUNTRIES
    for name in names:
        country = draw(st.sampled_from(countries))
        if name != "e0" and draw(st.integers(0, 3)) == 0:
            register.people(name, country)
        else:
            register.company(name, country)
    register.people("rest", "FR")
    for name in names:
        if register.entities[name].kind == "company":
            _draw_holders(draw, register, name, names, is_complete=is_complete)
    return register


def _draw_holders(
    draw: st.DrawFn, register: Register, held: str, names: list[str], *, is_complete: bool
) -> None:
    capital_left = votes_left = 10_000
    for holder in draw(st.lists(st.sampled_from(names), unique=True, max_size=4)):
        if holder == held:
            continue
        capital = draw(_share(capital_left))
        votes = draw(_share(votes_left))
        capital_left, votes_left = capital_left - capital, votes_left - votes
        rare = draw(st.integers(0, 40))
        register.hold(holder, held, capital, votes, veto=rare == 1, board=rare == 2, dominance=rare == 3)
    if is_complete or draw(st.booleans()):
        register.hold("rest", held, capital_left, votes_left)


def _share(left: int) -> st.SearchStrategy[int]:
    """Shares gather where the rules have their edges."""
    edges = [edge for edge in (0, 2_400, 2_401, 3_900, 3_901, 5_000, 5_001, left) if edge <= left]
    return st.one_of(st.sampled_from(edges), st.integers(0, left))
