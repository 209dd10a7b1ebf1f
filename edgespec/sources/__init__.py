"""Draft sources: everything that can propose the next tokens."""
