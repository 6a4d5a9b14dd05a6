"""Every page, in both languages, over a real API door and without a browser."""

from __future__ import annotations

import pytest

from tests.fixtures.portal import World

LANGUAGES = ("en", "fr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_a_tenant_is_shown(world: World, language: str) -> None:
    with world.signed_in(world.tenant.secret, language) as visitor:
        for path in world.tenant_pages():
            page = visitor.get(path)
            assert f'<html lang="{language}">' in page, path
            assert world.tenant.secret not in page, path


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_the_operator_is_shown(world: World, language: str) -> None:
    with world.signed_in(world.operator_key, language) as visitor:
        for path in world.operator_pages():
            page = visitor.get(path)
            assert f'<html lang="{language}">' in page, path
            assert world.operator_key not in page, path


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_newcomer_is_told_what_to_do(world: World, language: str) -> None:
    with world.signed_in(world.newcomer.secret, language) as visitor:
        for path in ("/", "/services", "/playground", "/sovereignty", "/usage", "/invoices", "/audit"):
            visitor.get(path)
        assert "/services/new" in visitor.get("/services")
