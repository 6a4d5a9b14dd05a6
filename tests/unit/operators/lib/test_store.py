"""The cache never goes back in time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.lib.objects import NODES, ObjectKey
from operators.lib.store import Change, Store

# Other work on the machine is no fault of a rule.
UNHURRIED = settings(deadline=None)


def node(name: str, revision: int, uid: str = "", color: str = "red") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(revision), "labels": {"color": color},
        }
    }  # fmt: skip


def color_of(obj: dict[str, Any]) -> tuple[str]:
    return (obj["metadata"]["labels"]["color"],)


def new_store() -> Store:
    return Store(NODES, {"color": color_of})


def test_an_answer_to_a_write_is_read_at_once_and_its_echo_is_no_news() -> None:
    store, changes = new_store(), list[Change]()
    store.add_listener(changes.append)
    store.observe_write(node("a", 5))
    assert store.find("a") is not None
    assert store.upsert(node("a", 5)) is False
    assert store.upsert(node("a", 4)) is False
    assert len(changes) == 1


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    store = new_store()
    store.upsert(node("a", 5))
    store.remove(node("a", 7))
    store.observe_write(node("a", 6))
    assert store.find("a") is None
    assert store.upsert(node("a", 8, uid="another"))


def test_the_deletion_of_an_older_object_leaves_its_successor() -> None:
    store = new_store()
    store.upsert(node("a", 9, uid="new"))
    assert store.remove(node("a", 8, uid="old")) is False
    assert store.find("a") is not None


def test_a_list_drops_what_is_gone_and_keeps_what_was_written_later() -> None:
    store = new_store()
    store.upsert(node("gone", 1))
    store.upsert(node("stays", 2))
    store.observe_write(node("later", 20))
    store.replace([node("stays", 2), node("new", 3)], 10)
    assert {key.name for key in store.keys()} == {"stays", "new", "later"}  # noqa: SIM118
    assert store.is_synced


@pytest.mark.case("F12")
@UNHURRIED
@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 60)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30)),
    st.sets(st.sampled_from("abcd")),
    st.booleans(),
)
def test_a_list_of_the_present_is_believed_over_another_history(
    cached: dict[str, int], listed: dict[str, int], deleted: set[str], is_rewound: bool
) -> None:
    """Whatever the cache saw before etcd was restored: what the list must have seen is as the list says."""
    store, revision = new_store(), 30
    for name, at in cached.items():
        store.upsert(node(name, at, color="blue"))
    for name in sorted(deleted & set(cached)):
        store.remove(node(name, cached[name]))
    store.replace([node(name, at) for name, at in listed.items()], revision, is_rewound=is_rewound)
    later = {name for name, at in cached.items() if at > revision and not is_rewound}
    for name in {*cached, *listed} - later:
        found = store.find(name)
        if name in listed:
            assert found is not None
            assert found["metadata"]["resourceVersion"] == str(listed[name]) or (
                # The same revision of the same object is the same object.
                cached.get(name) == listed[name]
            )
        else:
            assert found is None
    for name in later - deleted:
        assert store.find(name) is not None, "written after the list"
    scanned = {obj["metadata"]["name"] for obj in store if color_of(obj) == ("blue",)}
    assert {obj["metadata"]["name"] for obj in store.by_index("color", "blue")} == scanned


@UNHURRIED
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["up", "del"]),
            st.sampled_from("abc"),
            st.integers(1, 9),
            st.sampled_from(["red", "blue"]),
        ),
        max_size=40,
    )
)
def test_indexes_equal_a_full_scan(steps: list[tuple[str, str, int, str]]) -> None:
    store = new_store()
    for verb, name, revision, color in steps:
        # An object made again has another uid.
        obj = node(name, revision, f"{name}-{revision}", color)
        store.upsert(obj) if verb == "up" else store.remove(obj)
    for color in ("red", "blue"):
        scanned = {obj["metadata"]["name"] for obj in store if color_of(obj) == (color,)}
        assert {obj["metadata"]["name"] for obj in store.by_index("color", color)} == scanned


def test_an_index_added_late_covers_what_is_cached() -> None:
    store = Store(NODES)
    store.upsert(node("a", 1, color="blue"))
    store.add_indexer("color", color_of)
    assert [obj["metadata"]["name"] for obj in store.by_index("color", "blue")] == ["a"]
    assert store.get(ObjectKey("", "b")) is None
