"""How much a client may ask for at once."""

MAX_HEADERS = 64 * 2**10
"""Bytes of a request's line and headers."""
MAX_BODY = 8 * 2**20
"""Bytes."""
MAX_PROMPT = 4 * 2**20
"""Characters of all messages or texts together."""
MAX_GRAMMAR = 64 * 2**10
"""Characters of a grammar, and of a schema or of all tools as JSON."""
MAX_STOPS = 16
MAX_STOP = 1024
"""Characters of one."""
MAX_CHOICES = 16
MAX_INPUTS = 2048
"""Texts to embed."""
BODY_SECONDS = 30.0
"""For a whole body to arrive."""
SEND_SECONDS = 60.0
"""For a client to take what was sent; then it is given up."""
