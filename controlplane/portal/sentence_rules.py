"""The API's own English sentences in the reader's language, with words in place of their constants. Pure.

A sentence is known by its form. One that is not known is shown as the API said it, marked as English, but never with
a bare constant in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from controlplane.portal.i18n import N_
from controlplane.portal.labels import STATUSES

Translate = Callable[[str], str]
Known = Mapping[str, str]

_STATUS_WORD = re.compile(r"\b(?:" + "|".join(sorted(STATUSES, key=len, reverse=True)) + r")\b")
_SHOUTED = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")

# Each form of a sentence as the API writes it, and the text under which the catalogue has it.
FORMS: tuple[tuple[str, str], ...] = (
    (r"The service '(?P<name>[^']+)' was created for the model (?P<model>[^ ]+)\.",
     N_("The service %(name)s was created for the model %(model)s.")),
    (r"The service was paused: its replicas stop and calls are refused\.",
     N_("The service was paused: its replicas stop and calls are refused.")),
    (r"The service was resumed and looks for a place\.", N_("The service was resumed and looks for a place.")),
    (r"The service now runs (?P<least>\d+) to (?P<most>\d+) replicas\.",
     N_("The service now runs %(least)s to %(most)s replicas.")),
    (r"The service was deleted: its replicas stop\.", N_("The service was deleted: its replicas stop.")),
    (r"The service is (?P<status>\w+)\.", N_("The service is now: %(status)s.")),
    (r"Deployment (?P<number>\d+) is (?P<status>\w+)\.", N_("Deployment %(number)s is now: %(status)s.")),
    (r"Deployment (?P<number>\d+) was canceled\.", N_("Deployment %(number)s was canceled.")),
    (r"Deployment (?P<number>\d+) waits for a place\.", N_("Deployment %(number)s waits for a place.")),
    (r"Calls go to (?P<place>[^ ]+ \([A-Z]{2}\))\.", N_("Calls go to %(place)s.")),
    (r"Placed in (?P<place>[^ ]+ \([A-Z]{2}\))\.", N_("Placed in %(place)s.")),
    (r"Moving from (?P<before>[^ ]+) to (?P<place>[^:]+): (?P<said>.*)",
     N_("Moving from %(before)s to %(place)s: %(said)s")),
    (r"(?P<site>[a-z0-9-]+) is admissible again\.", N_("%(site)s is admissible again.")),
    (r"(?P<pool>[a-z0-9-]+) has no room to hold (?P<count>\d+) replicas; it is tried again when it has\.",
     N_("%(pool)s has no room to hold %(count)s replicas; it is tried again when it has.")),
    (r"The part in (?P<site>[^ ]+) stops: (?P<said>.*)", N_("The part in %(site)s stops: %(said)s")),
    (r"The cell in (?P<site>[^ ]+) refused it: (?P<said>.*)", N_("The cell in %(site)s refused it: %(said)s")),
    (r"Its traffic has moved and its calls have ended\.", N_("Its traffic has moved and its calls have ended.")),
    (r"Another deployment or place has taken over\.", N_("Another deployment or place has taken over.")),
    (r"There is no place yet\.", N_("There is no place yet.")),
    (r"There is no pool at all yet\.", N_("There is no pool at all yet.")),
)  # fmt: skip
_COMPILED = tuple((re.compile(form), text) for form, text in FORMS)
# A sentence inside a sentence inside a sentence does not occur.
_DEPTH_MAX = 3


def tell(sentence: str, translate: Translate, known: Known | None = None, depth: int = 0) -> tuple[str, bool]:
    """Return a sentence for the reader, and whether it is in the reader's language.

    `translate` gives a text of the catalogue; `known` holds sentences that came with their translation.
    """
    if known and sentence in known:
        return known[sentence], True
    for form, text in _COMPILED:
        found = form.fullmatch(sentence)
        if found is None:
            continue
        values, is_whole = {}, True
        for name, value in found.groupdict().items():
            if name == "status":
                value = word_of(value, translate)
            elif name == "said" and depth < _DEPTH_MAX:
                value, is_known = tell(value, translate, known, depth + 1)
                is_whole = is_whole and is_known
            values[name] = value
        translated = translate(text)
        return (translated % values if values else translated), is_whole
    return plain(sentence), False


def word_of(status: str, translate: Translate) -> str:
    """A status within a sentence: in small letters."""
    known = STATUSES.get(status.upper())
    return translate(known[0]).lower() if known else status.lower()


def plain(sentence: str) -> str:
    """An English sentence with words in place of constants."""
    named = _STATUS_WORD.sub(lambda found: STATUSES[found.group()][0].lower(), sentence)
    return _SHOUTED.sub(lambda found: found.group().replace("_", " ").lower(), named)


def known_sentences(explanation: Mapping[str, object] | None, language: str) -> dict[str, str]:
    """The sentences of a placement's explanation that came in both languages: English → the reader's."""
    found: dict[str, str] = {}

    def walk(node: object) -> None:
        if isinstance(node, Mapping):
            if set(node) == {"en", "fr"}:
                found[str(node["en"])] = str(node[language])
            else:
                for part in node.values():
                    walk(part)
        elif isinstance(node, list | tuple):
            for part in node:
                walk(part)

    walk(explanation or {})
    return found
