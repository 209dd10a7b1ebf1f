"""The way in, for a command line that knows this package by name only."""

import gc
import os
import sys
from threading import Thread

from edgespec import config, paths
from edgespec.cli.diagnostics import logged
from edgespec.cli.interrupts import ENDINGS, Interrupted
from edgespec.config import Settings
from edgespec.errors import ExitCode, InvalidInput
from edgespec.store.store import Store

_PATIENCE = 0.5


def run(settings: Settings, stop: tuple[str, ...] = ()) -> None:
    """Chat until the user leaves. Raises EdgespecError if that is not possible.

    Native code cannot be unwound: if the engine is in the middle of something that it will not
    leave soon, the process ends without it. Everything has been saved by then.
    """
    gc.disable()  # Until the first picture, of which collecting would be a tenth of the time.
    from edgespec_tui import endings, keys
    from edgespec_tui.app import ChatApp

    try:
        keys.check_all(settings.keys)
    except InvalidInput as error:
        raise InvalidInput(f"{config.file()}: [keys] {error.what}", error.hint) from error
    endings.give_back_terminal()
    with Store(paths.data_dir() / "conversations.db") as store:
        app = ChatApp(settings, store, stop)
        app.run()
        app.close()
    if app.defect:
        raise logged(app.defect)
    if app.loaded and app.clean:
        closing = Thread(target=app.loaded.engine.close, daemon=True)
        closing.start()
        closing.join(_PATIENCE)
        app.clean = not closing.is_alive()
    if not app.clean:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ExitCode.OK if app.ended_by is None else ENDINGS[app.ended_by])
    if app.ended_by is not None:
        raise Interrupted(app.ended_by)
