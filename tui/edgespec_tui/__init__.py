"""The terminal user interface: screens and widgets over the core's stream of events.

It imports `edgespec` only, and holds no decoding logic.
"""
