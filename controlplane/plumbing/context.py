"""What a worker hands to a room's effects: the open doors of the process."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    database: Database
    redis: redis.Redis
    clusters: Clusters
