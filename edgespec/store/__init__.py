"""Conversations on disk: one SQLite file, in which every conversation is a tree of messages."""
