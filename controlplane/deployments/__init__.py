"""What tenants run: apps, services, immutable deployments, their part in a datacenter, and the way traffic finds it."""
