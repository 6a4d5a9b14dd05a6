"""The visitor without a browser reads forms as a browser would send them."""

from __future__ import annotations

from infra.demo.forms import FormReader, text_of

PAGE = """
<form action="/search"><input name="q" value="old"></form>
<form method="post" action="/services/new">
  <input type="hidden" name="form_token" value="t&amp;1">
  <input name="name" value="">
  <select name="model"><option value="">Choose</option><option value="m" selected>M</option></select>
  <select name="size"><option value="small">S</option><option value="large">L</option></select>
  <input type="checkbox" name="countries" value="FR" checked>
  <input type="checkbox" name="countries" value="SE" checked>
  <input type="checkbox" name="countries" value="DE">
  <button type="submit" name="go" value="1">Go</button>
</form>
"""


def test_a_form_starts_from_what_the_page_holds() -> None:
    reader = FormReader()
    reader.feed(PAGE)
    assert [form.action for form in reader.forms] == ["/search", "/services/new"]
    assert reader.forms[0].values == {"q": ["old"]}
    assert reader.forms[1].values == {
        "form_token": ["t&1"],
        "name": [""],
        "model": ["m"],
        "size": ["small"],
        "countries": ["FR", "SE"],
    }


def test_words_are_the_same_whatever_spaces_the_page_uses() -> None:
    assert text_of("<p>1\u202f234,56\u00a0€</p>\n<p>for <b>one</b> month</p>") == "1 234,56 € for one month"
