"""edgespec: lossless speculative decoding of quantized language models, in the terminal.

`import edgespec` loads nothing: what a name stands for is imported when it is first used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
"""Type checkers take it for true; `typing` itself would have to be imported."""

if TYPE_CHECKING:
    from edgespec.api.chat import Chat as Chat
    from edgespec.api.completion import Completion as Completion
    from edgespec.api.model import Model as Model
    from edgespec.api.model import load as load
    from edgespec.api.plan import plan as plan
    from edgespec.api.rows import RowAnswer as RowAnswer
    from edgespec.api.settings import Options as Options
    from edgespec.embedder import Embedder as Embedder
    from edgespec.embedder import load_embedder as load_embedder
    from edgespec.errors import EdgespecError as EdgespecError
    from edgespec.events import Finish as Finish
    from edgespec.events import Stats as Stats
    from edgespec.events import Token as Token
    from edgespec.messages import Message as Message
    from edgespec.messages import Role as Role
    from edgespec.placement.records import Plan as Plan

_MODULES = {
    "Chat": "api.chat",
    "Completion": "api.completion",
    "EdgespecError": "errors",
    "Embedder": "embedder",
    "Finish": "events",
    "Message": "messages",
    "Model": "api.model",
    "Options": "api.settings",
    "Plan": "placement.records",
    "Role": "messages",
    "RowAnswer": "api.rows",
    "Stats": "events",
    "Token": "events",
    "load": "api.model",
    "load_embedder": "embedder",
    "plan": "api.plan",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
