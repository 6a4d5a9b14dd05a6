"""What a tenant learns of the fleet from a placement."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from controlplane.placement.decide_rules import decide
from controlplane.placement.domain import Demand, Snapshot
from controlplane.placement.schemas import ExplanationOut, from_explanation
from controlplane.placement.tenant_rules import for_tenant
from tests.unit.placement.builders import demands, snapshots
from tests.unit.placement.test_decide_rules import RELAXED


@pytest.mark.case("W15")
class TestForTenant:
    @RELAXED
    @given(demands(), snapshots())
    def test_no_pool_and_no_room_is_told_and_every_place_is_there_once(
        self, wanted: Demand, world: Snapshot
    ) -> None:
        found = from_explanation(decide(wanted, world).explanation)
        told = for_tenant(ExplanationOut.model_validate_json(found.model_dump_json()))
        sites = [each.datacenter for each in told.assessments]
        assert sorted(sites) == sorted({each.datacenter for each in found.assessments})
        text = told.model_dump_json()
        for pool in found.assessments:
            assert not re.search(rf"\b{re.escape(pool.pool_name)}\b", text) or pool.pool_name in sites
            assert pool.pool_id not in text or pool.pool_id in sites
        assert "has room for" not in text
        for each in told.assessments:
            was = [pool for pool in found.assessments if pool.datacenter == each.datacenter]
            assert each.is_admitted is any(pool.is_admitted for pool in was)
            assert each.is_admitted is (not each.rejections)
        assert (told.chosen_datacenter is None) is (found.chosen_pool_id is None)
