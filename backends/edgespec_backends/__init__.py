"""The engines that run models: one package per engine, the only importers of native libraries.

The core finds an engine by name in its registry and speaks to it through `edgespec.protocols`.
"""
