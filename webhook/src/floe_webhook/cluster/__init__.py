"""What the webhook asks of the Kubernetes API and does there; everything else in this room works without a cluster."""
