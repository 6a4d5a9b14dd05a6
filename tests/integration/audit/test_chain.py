"""The audit chain on real PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy.exc
from sqlalchemy import text

from controlplane.audit import service as audit
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.database import Database


class TestRecord:
    def test_chain_of_a_tenant_has_no_gap_and_verifies(self, database: Database) -> None:
        tenant = TenantId.new()
        for number in range(5):
            with database.tenant(tenant) as uow:
                audit.record(
                    uow, tenant_id=tenant, actor="key_x", action="app.created", target=f"app_{number}"
                )
        with database.tenant(tenant) as uow:
            assert [r.sequence for r in audit.walk(uow, tenant)] == [1, 2, 3, 4, 5]
            assert audit.verify(uow, tenant) is None

    def test_audit_rows_cannot_be_changed_even_by_the_platform(self, database: Database) -> None:
        tenant = TenantId.new()
        with database.tenant(tenant) as uow:
            audit.record(uow, tenant_id=tenant, actor="key_x", action="app.created", target="app_1")
        with (
            pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
            database.system() as uow,
        ):
            uow.session.execute(text("UPDATE audit_event SET actor = 'nobody'"))

    def test_another_tenant_sees_no_record(self, database: Database) -> None:
        tenant, other = TenantId.new(), TenantId.new()
        with database.tenant(tenant) as uow:
            audit.record(uow, tenant_id=tenant, actor="key_x", action="app.created", target="app_1")
        with database.tenant(other) as uow:
            assert list(audit.walk(uow, tenant)) == []
