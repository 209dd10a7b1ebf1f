"""edgespec from Python: a thin face over what the command line uses; see docs/api.md."""
