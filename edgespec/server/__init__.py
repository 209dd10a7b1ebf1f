"""`edgespec serve`: loaded models for programs that speak OpenAI's API; see docs/server.md."""
