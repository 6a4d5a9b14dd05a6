"""The operators' own runtime: client, caches, queue, controllers, leader election."""
