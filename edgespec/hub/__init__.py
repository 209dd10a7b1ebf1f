"""The Hugging Face Hub: what its repositories hold, and how a file gets from there to here."""
