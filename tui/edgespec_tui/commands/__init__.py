"""What the actions do, by what they do it to. Each takes the screen and a command's argument."""
