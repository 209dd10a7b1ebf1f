"""From logits to a token: processors, truncation, and position-keyed Gumbel argmax (numpy only)."""
