"""What can be deployed and on which shapes of machine: models and instance types."""
