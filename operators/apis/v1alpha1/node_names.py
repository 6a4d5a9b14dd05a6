"""Which labels and taints a pool may give its nodes: what Kubernetes takes, less what others own.

One source for every door: the CRD's rules are made from the texts here (`LABEL_RULES`, `TAINT_KEY_RULES`), the
admin API asks the functions. Both refuse what the API server would refuse in a Node, so that a pool that was
taken can become nodes.

Sources: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set and
https://kubernetes.io/docs/reference/labels-annotations-taints/ (prefixes that Kubernetes keeps for itself).
"""

import re
from collections.abc import Mapping

NAME_LENGTH_MAX = 63
PREFIX_LENGTH_MAX = 253
KEY_LENGTH_MAX = PREFIX_LENGTH_MAX + 1 + NAME_LENGTH_MAX
_PART = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
KEY_PATTERN = rf"^({_PART}(\.{_PART})*/)?{_NAME}$"
VALUE_PATTERN = rf"^({_NAME})?$"

# Whoever owns the domain, owns the names under it and under its subdomains.
OWNERS: tuple[tuple[str, str], ...] = (
    ("rempart.eu", "set by Rempart itself"),
    ("kubernetes.io", "kept for Kubernetes"),
    ("k8s.io", "kept for Kubernetes"),
)
KEY_SENTENCE = (
    "a {what}'s key is an optional DNS prefix with a slash and a name of at most 63 letters, digits, '-', '_' and"
    " '.', which begins and ends with a letter or digit"
)
VALUE_SENTENCE = (
    "a {what}'s value has at most 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or"
    " digit"
)


def label_error(key: str, value: str) -> str:
    """Why a pool's nodes cannot carry this label; empty if they can."""
    return _error("label", key, value)


def taint_error(key: str, value: str) -> str:
    """Why a pool's nodes cannot carry this taint; empty if they can."""
    return _error("taint", key, value)


def labels_error(labels: Mapping[str, str]) -> str:
    """The first of `label_error`, with the label it is about; empty if all are right."""
    for key, value in labels.items():
        error = label_error(key, value)
        if error:
            return f"{key[:80]}: {error}"
    return ""


def _error(what: str, key: str, value: str) -> str:
    prefix, _, _ = key.rpartition("/")
    if len(prefix) > PREFIX_LENGTH_MAX or not re.fullmatch(KEY_PATTERN[1:-1], key):
        return KEY_SENTENCE.format(what=what)
    for domain, whose in OWNERS:
        if prefix == domain or prefix.endswith(f".{domain}"):
            return owner_sentence(what, domain, whose)
    if not re.fullmatch(VALUE_PATTERN[1:-1], value):
        return VALUE_SENTENCE.format(what=what)
    return ""


def owner_sentence(what: str, domain: str, whose: str) -> str:
    """Why a name under a domain is refused."""
    return f"{what}s that start with {domain}/ or a subdomain of it are {whose}"


def _owned(expression: str, domain: str) -> str:
    return f"{expression}.startsWith('{domain}/') || {expression}.contains('.{domain}/')"


# Rules in CEL, with their sentences. `format.qualifiedName` and `format.labelValue` are the API server's own
# tests: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-format-library
LABEL_RULES: tuple[tuple[str, str], ...] = (
    (
        "self.all(key, !format.qualifiedName().validate(key).hasValue())",
        KEY_SENTENCE.format(what="label"),
    ),
    (
        "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
        VALUE_SENTENCE.format(what="label"),
    ),
    *(
        (f"self.all(key, !({_owned('key', domain)}))", owner_sentence("label", domain, whose))
        for domain, whose in OWNERS
    ),
)
TAINT_KEY_RULES: tuple[tuple[str, str], ...] = (
    ("!format.qualifiedName().validate(self).hasValue()", KEY_SENTENCE.format(what="taint")),
    *((f"!({_owned('self', domain)})", owner_sentence("taint", domain, whose)) for domain, whose in OWNERS),
)
TAINT_VALUE_RULES: tuple[tuple[str, str], ...] = (
    ("!format.labelValue().validate(self).hasValue()", VALUE_SENTENCE.format(what="taint")),
)
