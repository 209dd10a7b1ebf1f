"""The chat line by line: a room for each kind of what can be typed, and the loop that reads it."""
