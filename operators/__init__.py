"""What runs beside each cell's Kubernetes API server and knows only the custom resources."""
