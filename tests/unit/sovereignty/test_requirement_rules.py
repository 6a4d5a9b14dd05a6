"""Requirements: one wish, one hash; what the wire refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controlplane.kernel.jurisdiction import EEA, Country
from controlplane.sovereignty.domain import (
    Attribution,
    CertificationRequirement,
    LicenceColour,
    ReasonCode,
    Requirement,
)
from controlplane.sovereignty.requirement_rules import (
    dump_requirement,
    find_licence_refusal,
    hash_requirement,
    load_requirement,
)
from controlplane.sovereignty.schemas import SovereigntyBlock

CERTIFICATIONS = st.lists(
    st.builds(
        CertificationRequirement,
        framework=st.sampled_from(["HDS", "SECNUMCLOUD", "ISO27001"]),
        version_min=st.sampled_from([None, "2.0", "3.2"]),
        days_left_min=st.integers(0, 3650),
    ),
    max_size=4,
)
REQUIREMENTS = st.builds(
    Requirement,
    countries=st.frozensets(st.sampled_from(sorted(EEA)).map(Country), max_size=5),
    is_non_eu_control_denied=st.booleans(),
    is_secnumcloud_ownership_required=st.booleans(),
    attribution=st.sampled_from(Attribution),
    certifications=CERTIFICATIONS.map(tuple),
    pue_below_milli=st.none() | st.integers(1_001, 10_000),
    gco2_per_kwh_max_milli=st.none() | st.integers(0, 2_000_000),
    licence_colours=st.frozensets(st.sampled_from(LicenceColour)),
)


class TestHashRequirement:
    @given(REQUIREMENTS)
    def test_a_requirement_survives_its_document(self, requirement: Requirement) -> None:
        document = json.loads(json.dumps(dump_requirement(requirement)))
        again = load_requirement(document)
        assert dump_requirement(again) == dump_requirement(requirement)
        assert hash_requirement(again) == hash_requirement(requirement)

    @given(REQUIREMENTS, st.randoms(use_true_random=False))
    def test_policy_hash_does_not_depend_on_the_order_of_a_wish(
        self, requirement: Requirement, random: object
    ) -> None:
        block = {key: value for key, value in dump_requirement(requirement).items() if key != "format"}
        for name in ("countries", "certifications", "licence_colours"):
            random.shuffle(block[name])  # type: ignore[attr-defined]
        wire = SovereigntyBlock.model_validate(block)
        assert hash_requirement(wire.to_requirement()) == hash_requirement(requirement)

    @given(REQUIREMENTS, REQUIREMENTS)
    def test_two_wishes_share_a_hash_only_when_they_are_the_same(
        self, one: Requirement, other: Requirement
    ) -> None:
        assert (hash_requirement(one) == hash_requirement(other)) == (
            dump_requirement(one) == dump_requirement(other)
        )

    def test_the_hash_of_an_empty_wish_is_pinned(self) -> None:
        """A stored policy hash must name the same rule for ever: a change here needs a new POLICY_FORMAT."""
        assert hash_requirement(Requirement()) == PINNED


PINNED = "a858751a78d8ed8a2fac1c51abcd0160f2c975cf51ecd3abb720c16dd3b2ded3"


class TestSovereigntyBlock:
    @pytest.mark.parametrize(
        "block",
        [
            {"countries": ["FR", "XX"]},
            {"countries": ["fr"]},
            {"is_non_eu_control_denied": True, "surprise": 1},
            {"certifications": [{"framework": "secnumcloud"}]},
            {"certifications": [{"framework": "HDS", "version_min": "2..0"}]},
            {"certifications": [{"framework": "HDS", "days_left_min": -1}]},
            {"pue_below_milli": 1.3},
            {"pue_below_milli": 1_000},
            {"gco2_per_kwh_max_milli": -1},
            {"licence_colours": ["purple"]},
            {"attribution": "generous"},
        ],
    )
    def test_what_is_not_understood_is_refused(self, block: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            SovereigntyBlock.model_validate(block)


class TestFindLicenceRefusal:
    def test_a_colour_outside_the_wish_is_refused(self) -> None:
        requirement = Requirement(licence_colours=frozenset({LicenceColour.GREEN}))
        refusal = find_licence_refusal(requirement, "llama", LicenceColour.YELLOW)
        assert refusal is not None
        assert refusal.code is ReasonCode.LICENCE_NOT_ALLOWED
        assert find_licence_refusal(requirement, "smollm2", LicenceColour.GREEN) is None

    def test_no_wish_allows_every_colour(self) -> None:
        assert find_licence_refusal(Requirement(), "closed", LicenceColour.BLUE) is None
