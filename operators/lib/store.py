"""A cache of one kind with indexes, that goes back in time only when the API server did.

Caches lag behind writes; counting children in a lagging cache makes duplicates (cluster-api#13649).
So the answer to every write of ours is put into the cache at once (`observe_write`), and an event
older than what is cached is dropped. What was deleted stays deleted: the last deleted uids are
remembered, so a late answer to a write cannot bring an object back.

Revisions grow only while nobody restores etcd from a backup. So a list that was taken now is believed:
what the cache holds at a revision that the list must have seen, and the list has otherwise, belongs to a
history that no longer exists.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from operators.lib.objects import Obj, ObjectKey, Resource, key_of, revision_of, uid_of

# Enough to outlive any write in flight: a thousand deletions per second for ten seconds.
TOMBSTONES_MAX = 10_000

Indexer = Callable[[Obj], Iterable[str]]


class Change(NamedTuple):
    """What happened to one cached object. `old` is None when added, `new` is None when deleted."""

    key: ObjectKey
    old: Obj | None
    new: Obj | None
    cause: Literal["event", "list", "write"]


Listener = Callable[[Change], None]


class Store:
    """Objects of one kind by key and by index. Objects are shared: readers never change them."""

    def __init__(self, resource: Resource, indexers: dict[str, Indexer] | None = None) -> None:
        self.resource = resource
        self.is_synced = False
        self._objects: dict[ObjectKey, Obj] = {}
        self._indexers: dict[str, Indexer] = dict(indexers or {})
        self._indexes: dict[str, dict[str, dict[ObjectKey, None]]] = {name: {} for name in self._indexers}
        self._listeners: list[Listener] = []
        # uid → revision of the last thing known of it.
        self._tombstones: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Obj]:
        return iter(list(self._objects.values()))

    def keys(self) -> list[ObjectKey]:
        """Every cached key."""
        return list(self._objects)

    def get(self, key: ObjectKey) -> Obj | None:
        """The cached object, None if there is none."""
        return self._objects.get(key)

    def find(self, name: str, namespace: str = "") -> Obj | None:
        """The cached object of this name, None if there is none."""
        return self._objects.get(ObjectKey(namespace, name))

    def by_index(self, index: str, value: str) -> list[Obj]:
        """Objects whose indexer `index` yields `value`, in the order they were cached."""
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def add_indexer(self, name: str, indexer: Indexer) -> None:
        """Add an index; what is already cached is indexed too. A second indexer of a name is refused."""
        assert name not in self._indexers or self._indexers[name] is indexer, f"index {name} exists"
        self._indexers[name] = indexer
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            for value in indexer(obj):
                self._indexes[name].setdefault(value, {})[key] = None

    def add_listener(self, listener: Listener) -> None:
        """Be told of each change, in order, inside the event loop; must not block."""
        self._listeners.append(listener)

    def upsert(self, obj: Obj, cause: Literal["event", "list", "write"] = "event") -> bool:
        """Cache `obj` unless it is older than what is cached or was deleted; whether it was news."""
        uid, key = uid_of(obj), key_of(obj)
        if uid in self._tombstones:
            return False
        old = self._objects.get(key)
        if old is not None and revision_of(old) >= revision_of(obj):
            return False
        self._unindex(key, old)
        self._objects[key] = obj
        self._index(key, obj)
        self._notify(Change(key, old, obj, cause))
        return True

    def observe_write(self, obj: Obj) -> None:
        """Cache the API server's answer to a write of ours, so that the next reconcile reads it."""
        self.upsert(obj, "write")

    def remove(self, obj: Obj, cause: Literal["event", "list", "write"] = "event") -> bool:
        """Drop the object with this key if it is this one or older; whether it was cached."""
        uid, key = uid_of(obj), key_of(obj)
        self._bury(uid, revision_of(obj))
        old = self._objects.get(key)
        if old is None or (uid_of(old) != uid and revision_of(old) > revision_of(obj)):
            return False
        self._unindex(key, old)
        del self._objects[key]
        self._bury(uid_of(old), max(revision_of(old), revision_of(obj)))
        self._notify(Change(key, old, None, cause))
        return True

    def replace(self, objects: Iterable[Obj], revision: int, *, is_rewound: bool = False) -> None:
        """Make the cache equal to a list taken at `revision`; what was written later stays.

        With `is_rewound` nothing was written later: the API server's history ends at the list.
        """
        seen: set[ObjectKey] = set()
        for obj in objects:
            key, uid = key_of(obj), uid_of(obj)
            seen.add(key)
            cached = self._objects.get(key)
            if cached is not None and (is_rewound or revision_of(obj) < revision_of(cached) <= revision):
                if cached != obj:
                    self._put(key, cached, obj)
                continue
            if is_rewound or self._tombstones.get(uid, revision + 1) <= revision:
                self._tombstones.pop(uid, None)
            self.upsert(obj, "list")
        for key in [key for key in self._objects if key not in seen]:
            old = self._objects[key]
            if is_rewound or revision_of(old) <= revision:
                self.remove(old, "list")
        if is_rewound:
            self._tombstones.clear()
        self.is_synced = True

    def _put(self, key: ObjectKey, old: Obj, new: Obj) -> None:
        self._unindex(key, old)
        self._objects[key] = new
        self._index(key, new)
        self._notify(Change(key, old, new, "list"))

    def _index(self, key: ObjectKey, obj: Obj) -> None:
        for name, indexer in self._indexers.items():
            for value in indexer(obj):
                self._indexes[name].setdefault(value, {})[key] = None

    def _unindex(self, key: ObjectKey, obj: Obj | None) -> None:
        if obj is None:
            return
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            for value in indexer(obj):
                keys = index.get(value)
                if keys is not None:
                    keys.pop(key, None)
                    if not keys:
                        del index[value]

    def _bury(self, uid: str, revision: int) -> None:
        self._tombstones[uid] = max(revision, self._tombstones.get(uid, 0))
        self._tombstones.move_to_end(uid)
        while len(self._tombstones) > TOMBSTONES_MAX:
            self._tombstones.popitem(last=False)

    def _notify(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
