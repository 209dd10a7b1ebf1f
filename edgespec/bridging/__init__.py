"""Bridges between vocabularies: how a drafter of another family drafts for a target."""
