"""What this machine computes with: packages, nodes, cores and caches, as the system tells it."""
