"""Who runs where, and why: places for target and drafter, what they take, how fast they will be."""
