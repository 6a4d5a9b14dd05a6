"""Carbon intensity of national grids as dated data: yearly means, in thousandths of a gram of CO2e per kWh.

Source: mlco2/codecarbon, `global_energy_mix.json` (MIT licence); year 2023, Iceland 2022. A yearly mean says nothing
of an hour: it ranks places, it does not account for one.
"""

from __future__ import annotations

from typing import Final

from controlplane.kernel.jurisdiction import Country

FACTORS_YEAR: Final = 2023
_GCO2_PER_KWH_MILLI: Final[dict[str, int]] = {
    "AT": 110_812, "BE": 138_107, "BG": 335_334, "HR": 204_962, "CY": 534_323, "CZ": 449_724, "DK": 151_650,
    "EE": 416_667, "FI": 79_158, "FR": 56_039, "DE": 380_950, "GR": 336_574, "HU": 204_190, "IE": 290_805,
    "IT": 330_718, "LV": 123_200, "LT": 160_072, "LU": 105_263, "MT": 459_144, "NL": 267_622, "PL": 661_926,
    "PT": 165_553, "RO": 240_583, "SK": 116_774, "SI": 231_275, "ES": 174_050, "SE": 40_695, "IS": 27_680,
    "NO": 30_080, "CH": 34_843, "GB": 237_589,
}  # fmt: skip


def find_grid_gco2_per_kwh_milli(country: Country) -> int | None:
    """Return the country's yearly mean, or None where this table has none (which no limit accepts)."""
    return _GCO2_PER_KWH_MILLI.get(country.code)
