"""Batches: thousands of prompts from a file, answered into a file, at the machine's full rate."""
