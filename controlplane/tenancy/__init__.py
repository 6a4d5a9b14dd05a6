"""Tenants (wire name: organization), their projects, billing parties and quotas."""
