"""Apps, services, deployments, their parts, instances, secrets, cold starts, service events, explanations.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from migrations.policies import grant_platform_table, protect_tenant_table

revision = "0006"
down_revision = "0005"

_RUN = (
    "'PENDING','PROVISIONING','SCHEDULED','ALLOCATING','STARTING','HEALTHY','DEGRADED','UNHEALTHY','SLEEPING',"
    "'STOPPING','STOPPED','CANCELING','CANCELED','ERRORING','ERROR'"
)
_SERVICE = "'STARTING','HEALTHY','DEGRADED','UNHEALTHY','PAUSING','PAUSED','RESUMING','DELETING','DELETED'"


def upgrade() -> None:
    _create_app_and_service()
    _create_deployment()
    _create_regional_deployment()
    _create_instance()
    _create_secret()
    _create_cold_start()
    _create_service_event()
    _create_explanation()
    _create_routing_version()


def _id(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UUID(as_uuid=True), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, JSONB, nullable=False)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _boolean(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _at(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _resource(*columns: sa.Column[Any]) -> list[sa.Column[Any]]:
    """The columns that every resource of the room has, around its own."""
    times = [_at("created_at", nullable=False), _at("updated_at", nullable=False)]
    return [_id("tenant_id"), _id("id"), _id("project_id"), *columns, *times]


def _key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("tenant_id", "id", name=f"pk_{table}")


def _parent(table: str, column: str, parent: str, *, cascade: bool = False) -> sa.ForeignKeyConstraint:
    """A reference inside one tenant: a row can never point at another tenant's."""
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{parent}.tenant_id", f"{parent}.id"],
        name=f"fk_{table}_tenant_id_{column}",
        ondelete="CASCADE" if cascade else None,
    )


def _create_app_and_service() -> None:
    op.create_table(
        "app",
        *_resource(_text("name", 50), _integer("version")),
        _key("app"),
        _parent("app", "project_id", "project"),
    )
    op.create_index("uq_app_name", "app", ["tenant_id", "project_id", "name"], unique=True)
    protect_tenant_table("app")
    op.create_table(
        "service",
        *_resource(
            _id("app_id"),
            _text("name", 50),
            _text("type", 20),
            _text("status", 16),
            _json("messages"),
            _integer("version"),
            _id("latest_deployment_id"),
            _id("active_deployment_id", nullable=True),
            _id("last_provisioned_deployment_id", nullable=True),
            _integer("scale_min", nullable=True),
            _integer("scale_max", nullable=True),
            _text("host", 253),
            _at("started_at"),
            _at("paused_at"),
            _at("terminated_at"),
        ),
        # No reference to the app and the project: both may go once their services have ended, and what those were
        # stays readable. Whoever adds a service locks its app, which holds the project.
        _key("service"),
        sa.CheckConstraint(f"status IN ({_SERVICE})", name="ck_service_status"),
    )
    op.create_index(
        "uq_service_name",
        "service",
        ["tenant_id", "project_id", "name"],
        unique=True,
        postgresql_where=sa.text("status <> 'DELETED'"),
    )
    op.create_index("ix_service_app", "service", ["tenant_id", "app_id"])
    protect_tenant_table("service", app="SELECT, INSERT, UPDATE")


def _create_deployment() -> None:
    op.create_table(
        "deployment",
        *_resource(
            _id("app_id"),
            _id("service_id"),
            _integer("number"),
            _id("parent_id", nullable=True),
            _id("child_id", nullable=True),
            _text("status", 16),
            _json("messages"),
            _json("definition"),
            _json("plan"),
            _json("secret_versions"),
            _at("allocated_at"),
            _at("started_at"),
            _at("succeeded_at"),
            _at("terminated_at"),
        ),
        _key("deployment"),
        _parent("deployment", "service_id", "service"),
        sa.CheckConstraint(f"status IN ({_RUN})", name="ck_deployment_status"),
    )
    op.create_index("uq_deployment_number", "deployment", ["tenant_id", "service_id", "number"], unique=True)
    op.create_index(
        "ix_deployment_pending", "deployment", ["id"], postgresql_where=sa.text("status = 'PENDING'")
    )
    protect_tenant_table("deployment", app="SELECT, INSERT, UPDATE")
    fixed = ("definition", "plan", "secret_versions", "number", "service_id")
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in fixed)
    op.execute(
        f"CREATE TRIGGER deployment_immutable BEFORE UPDATE ON deployment FOR EACH ROW WHEN ({changed}) "
        "EXECUTE FUNCTION refuse_change()"
    )


def _create_regional_deployment() -> None:
    counts = (
        "gpus_per_replica", "cpu_milli", "memory_mib", "replicas_min", "replicas_max", "replicas_reserved",
        "generation", "applied_generation", "cluster_generation", "replicas_ready",
    )  # fmt: skip
    op.create_table(
        "regional_deployment",
        *_resource(
            _id("app_id"),
            _id("service_id"),
            _id("deployment_id"),
            _text("service_name", 50),
            _text("object_name", 63),
            _text("status", 16),
            _json("messages"),
            _text("route_state", 16),
            _id("pool_id"),
            _text("pool_name", 50),
            _text("datacenter", 40),
            _text("country", 2),
            _text("cell", 40),
            _text("operator", 200),
            _text("instance_type", 63),
            _text("accelerator_sku", 63, nullable=True),
            *(_integer(name) for name in counts),
            _boolean("is_simulated"),
            _boolean("is_admissible"),
            _text("policy_hash", 64),
            sa.Column("verdict_reason", sa.Text, nullable=False),
            _at("verdict_decided_at", nullable=False),
            _at("violated_at"),
            _at("refused_at"),
            _at("draining_since"),
            _id("replaces_id", nullable=True),
            _at("ready_at"),
            _at("terminated_at"),
        ),
        _key("regional_deployment"),
        _parent("regional_deployment", "deployment_id", "deployment"),
        sa.CheckConstraint(f"status IN ({_RUN})", name="ck_regional_deployment_status"),
        sa.CheckConstraint(
            "route_state IN ('NONE','ACTIVE','DRAINING')", name="ck_regional_deployment_route_state"
        ),
    )
    op.create_index(
        "uq_regional_deployment_active_route",
        "regional_deployment",
        ["tenant_id", "service_id"],
        unique=True,
        postgresql_where=sa.text("route_state = 'ACTIVE'"),
    )
    op.create_index("ix_regional_deployment_service", "regional_deployment", ["tenant_id", "service_id"])
    op.create_index(
        "ix_regional_deployment_open",
        "regional_deployment",
        ["id"],
        postgresql_where=sa.text("terminated_at IS NULL"),
    )
    protect_tenant_table("regional_deployment", app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_instance() -> None:
    op.create_table(
        "instance",
        *_resource(
            _id("app_id"),
            _id("service_id"),
            _id("deployment_id"),
            _id("regional_deployment_id"),
            _text("name", 253),
            _text("uid", 64),
            _text("status", 16),
            _json("messages"),
            _text("datacenter", 40),
            _text("country", 2),
            _text("instance_type", 63),
            _integer("replica_index"),
            _text("node", 253),
            _json("gpus"),
            _boolean("is_simulated"),
            _at("scheduled_at"),
            _at("started_at"),
            _at("ready_at"),
            _at("terminated_at"),
        ),
        _key("instance"),
        _parent("instance", "regional_deployment_id", "regional_deployment"),
    )
    op.create_index(
        "uq_instance_name", "instance", ["tenant_id", "regional_deployment_id", "name", "uid"], unique=True
    )
    op.create_index("ix_instance_service", "instance", ["tenant_id", "service_id"])
    protect_tenant_table("instance", app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_secret() -> None:
    op.create_table(
        "secret",
        *_resource(_text("name", 50), _integer("version")),
        _key("secret"),
        _parent("secret", "project_id", "project"),
    )
    op.create_index("uq_secret_name", "secret", ["tenant_id", "project_id", "name"], unique=True)
    protect_tenant_table("secret")
    op.create_table(
        "secret_version",
        _id("tenant_id"),
        _id("secret_id"),
        _integer("version"),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        _at("created_at", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "secret_id", "version", name="pk_secret_version"),
        _parent("secret_version", "secret_id", "secret", cascade=True),
    )
    # A tenant's transaction stores a value and never reads one back: only the platform's effects unseal.
    protect_tenant_table("secret_version", app="INSERT", system="SELECT, INSERT, DELETE")


def _create_cold_start() -> None:
    steps = (
        "first_byte_at", "wanted_at", "pod_created_at", "scheduled_at", "started_at", "ready_at", "first_token_at",
    )  # fmt: skip
    op.create_table(
        "cold_start",
        _id("tenant_id"),
        _id("regional_deployment_id"),
        _text("instance", 253),
        _id("service_id"),
        _text("request_id", 64, nullable=True),
        *(_at(name) for name in steps),
        _at("recorded_at", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "regional_deployment_id", "instance", name="pk_cold_start"),
        _parent("cold_start", "regional_deployment_id", "regional_deployment"),
    )
    op.create_index("ix_cold_start_service", "cold_start", ["tenant_id", "service_id", "recorded_at"])
    protect_tenant_table("cold_start", app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_service_event() -> None:
    op.create_table(
        "service_event",
        _id("tenant_id"),
        _id("id"),
        _id("service_id"),
        _id("deployment_id", nullable=True),
        _id("regional_deployment_id", nullable=True),
        _text("type", 50),
        _text("reason", 100),
        sa.Column("message", sa.Text, nullable=False),
        _at("occurred_at", nullable=False),
        _key("service_event"),
        _parent("service_event", "service_id", "service"),
    )
    op.create_index("ix_service_event_service", "service_event", ["tenant_id", "service_id", "id"])
    protect_tenant_table("service_event", app="SELECT, INSERT")
    op.execute(
        "CREATE TRIGGER service_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON service_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _create_explanation() -> None:
    op.create_table(
        "placement_explanation",
        _id("tenant_id"),
        _id("id"),
        _id("service_id"),
        _id("deployment_id"),
        _boolean("is_placed"),
        _text("fingerprint", 64),
        _json("explanation"),
        _at("decided_at", nullable=False),
        _at("confirmed_at", nullable=False),
        _key("placement_explanation"),
        _parent("placement_explanation", "deployment_id", "deployment"),
    )
    op.create_index(
        "ix_placement_explanation_service", "placement_explanation", ["tenant_id", "service_id", "id"]
    )
    protect_tenant_table("placement_explanation", app="SELECT", system="SELECT, INSERT, UPDATE")


def _create_routing_version() -> None:
    op.create_table(
        "routing_version",
        sa.Column("is_only_row", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("is_only_row", name="pk_routing_version"),
        sa.CheckConstraint("is_only_row", name="ck_routing_version_one_row"),
    )
    op.execute("INSERT INTO routing_version DEFAULT VALUES")
    grant_platform_table("routing_version", app=None, system="SELECT, UPDATE")


def downgrade() -> None:
    for table in (
        "routing_version",
        "placement_explanation",
        "service_event",
        "cold_start",
        "secret_version",
        "secret",
        "instance",
        "regional_deployment",
        "deployment",
        "service",
        "app",
    ):
        op.drop_table(table)
