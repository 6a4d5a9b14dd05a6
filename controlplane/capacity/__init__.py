"""What can run where: datacenters, cells, node pools, nodes, and capacity that is held for somebody."""
