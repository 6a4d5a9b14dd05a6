"""The pipes of the house: database, outbox, work queue, HTTP edge, cluster access. It knows no room."""
