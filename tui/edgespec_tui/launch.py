"""The way in, for a command line that knows this package by name only."""

import os
import sys
from threading import Thread

from edgespec.cli.diagnostics import logged
from edgespec.config import Settings
from edgespec_tui.app import ChatApp

_PATIENCE = 0.5


def run(settings: Settings, stop: tuple[str, ...] = ()) -> None:
    """Chat until the user leaves. Raises EdgespecError if that is not possible.

    Native code cannot be unwound: if the engine is in the middle of something that it will not
    leave soon, the process ends without it. Everything has been saved by then.
    """
    app = ChatApp(settings, stop)
    failure = app.run()
    if app.defect:
        failure = logged(app.defect)
    if failure:
        raise failure
    if app.loaded and app.clean:
        closing = Thread(target=app.loaded.engine.close, daemon=True)
        closing.start()
        closing.join(_PATIENCE)
        app.clean = not closing.is_alive()
    if not app.clean:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(app.return_code or 0)
