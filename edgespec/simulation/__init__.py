"""The real scheduler on an imagined machine: scripted costs and acceptance, on a virtual clock."""
