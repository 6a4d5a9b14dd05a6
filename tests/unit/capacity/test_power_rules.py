"""Power rules of a site."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controlplane.capacity.power_rules import PowerDemand, facility_watts, find_power_shortage

DEMANDS = st.lists(st.builds(PowerDemand, st.integers(0, 2000), st.integers(1, 200_000)), max_size=20)
PUE = st.integers(1000, 2000)


class TestFindPowerShortage:
    @given(DEMANDS, PUE, st.integers(1, 100_000))
    def test_what_is_admitted_is_never_above_the_site(
        self, demands: list[PowerDemand], pue: int, kw: int
    ) -> None:
        shortage = find_power_shortage(demands, pue, kw)
        assert (shortage == 0) == (facility_watts(demands, pue) <= kw * 1000)
        assert facility_watts(demands, pue) - shortage <= kw * 1000

    def test_forty_megawatts_at_pue_1_21_feed_250_racks_of_132_kw_and_not_251(self) -> None:
        assert find_power_shortage([PowerDemand(250, 132_000)], 1210, 40_000) == 0
        assert find_power_shortage([PowerDemand(251, 132_000)], 1210, 40_000) > 0
