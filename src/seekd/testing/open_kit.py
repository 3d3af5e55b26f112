"""Starts a server for a test: the whole application, a script or the bundled model behind it, a kit in front.

client ──HTTP──> tap (notes, faults) ──> application (validation, limits, prompt, parser) ──> scripted engine
                                                                                       └──> or a real one
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from seekd.api.settings import ServerSettings, default_data_dir
from seekd.app import Application, build, open_server_books
from seekd.engine.factory import make_engine
from seekd.engine.scripted import ScriptedEngine
from seekd.engine.settings import EngineSettings
from seekd.models.locate import find_model_file
from seekd.models.settings import BUNDLED_MODEL, ModelSettings
from seekd.service.metrics import Metrics
from seekd.service.model_pool import Member, ModelPool
from seekd.service.served_model import ServedModel
from seekd.settings import Settings
from seekd.testing.control import control_app
from seekd.testing.kit import Kit, play_turn
from seekd.testing.replay import Library, Matching
from seekd.testing.script_file import apply_script
from seekd.testing.server import serve_application
from seekd.testing.tap import Connections, Tap
from seekd.vocabulary import Vocabulary
from seekd.wire.dialect import DIALECTS

CONTEXT_LENGTH = 131_072


def bundled_vocabulary() -> AbstractContextManager[Vocabulary]:
    """The token table of the bundled model: what a scripted model counts in."""
    return make_engine(find_model_file(BUNDLED_MODEL), EngineSettings()).open_vocabulary()


@contextlib.contextmanager
def open_kit(
    *,
    model: str | None = None,
    dialect: Literal["classic", "hosted"] = "classic",
    context_length: int = CONTEXT_LENGTH,
    vocabulary: Vocabulary | None = None,
    cassette: Path | str | None = None,
    matching: Matching = "lenient",
    rhythm: bool = False,
    strict: bool = False,
    data_dir: Path | None = None,
) -> Iterator[Kit]:
    """A server for the length of a block. In `unittest`, `self.enterContext(open_kit())` starts one for each test.

    Args:
        model: `bundled`, or the path of a GGUF file, answers what no rule is for; None is a script alone.
        dialect: of requests that name none.
        context_length: of the scripted model, in tokens.
        vocabulary: counts the scripted model's tokens; None is that of the bundled model.
        cassette: folder of recordings that answer what no rule is for; None for none.
        matching: `lenient` compares what is said, `strict` the whole body of a request with the recorded one.
        rhythm: play the pauses of a recording.
        strict: `Kit.verify` fails for what the hosted API would refuse or ignore.
        data_dir: for books and caches; None is a folder that is removed at the end.

    Raises:
        ConfigError: there is no such model or recording.
        RuntimeError: the server did not start.
    """
    with contextlib.ExitStack() as stack:
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seekd-kit-")))
        server = ServerSettings(host="127.0.0.1", port=0, data_dir=data_dir, dialect=dialect)
        if model is None:
            words = vocabulary or stack.enter_context(bundled_vocabulary())
            application = scripted_application(Settings(server=server), words, context_length=context_length)
        else:
            application = build(Settings(server=server, model=ModelSettings(source=model)))
        library = None if cassette is None else Library(Path(cassette), matching=matching, has_rhythm=rhythm)
        served = KitServer(application, server, answers_by_model=model is not None, library=library, is_strict=strict)
        running = serve_application(application, served.tap, server)
        served.kit.url, served.tap.connections.server = stack.enter_context(running)
        stack.callback(served.kit.release)
        yield served.kit


class KitServer:
    """An application with a kit in front of it.

    Args:
        application: answers.
        settings: of its server.
        answers_by_model: a real model stands behind it, so that rules make no replies.
        library: recordings that answer what no rule is for; None for none.
        is_strict: what the hosted API would refuse or ignore is noted.
        script: makes the first rules, and makes them again after a reset by HTTP; None for none.
    """

    def __init__(
        self,
        application: Application,
        settings: ServerSettings,
        *,
        answers_by_model: bool = False,
        library: Library | None = None,
        is_strict: bool = False,
        script: Callable[[Kit], None] | None = None,
    ) -> None:
        kit = Kit(
            answers_by_model=answers_by_model, library=library, is_strict=is_strict, release=lambda: self.tap.release()
        )
        self.kit = kit

        def restart() -> None:
            if script is not None:
                script(kit)

        self.application = application
        self.tap = Tap(
            app=application.asgi,
            desk=kit,
            connections=Connections(),
            default_dialect=DIALECTS[settings.dialect],
            control=control_app(kit, restart=restart),
        )
        restart()


@contextlib.contextmanager
def kit_server(
    settings: Settings, *, script: Path | None = None, library: Library | None = None
) -> Iterator[KitServer]:
    """What `seekd serve --script` and `seekd replay` serve; in a temporary folder unless the settings name one.

    Raises:
        ConfigError: the script cannot be used, or a setting.
        StoreError: the books cannot be used.
    """
    with contextlib.ExitStack() as stack:
        server = settings.server
        if server.data_dir == default_data_dir():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="seekd-script-"))
            server = replace(server, data_dir=Path(folder))
        else:
            server.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        length = settings.engine.context_length or CONTEXT_LENGTH
        vocabulary = stack.enter_context(bundled_vocabulary())
        application = scripted_application(replace(settings, server=server), vocabulary, context_length=length)
        rules = None if script is None else partial(apply_script, script)
        yield KitServer(application, server, library=library, script=rules)


def scripted_application(settings: Settings, vocabulary: Vocabulary, *, context_length: int) -> Application:
    """An application whose model says what the rules of a kit say. Raises as `Application` does."""
    model = ModelSettings(source="script", prompt_format="deepseek-v4.1", temperature_mapping="none")
    engine = ScriptedEngine(
        lambda request: play_turn(request, vocabulary), vocabulary=vocabulary, context_length=context_length
    )
    served = ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(vocabulary), settings=model)
    return Application(
        replace(settings, model=model),
        models=ModelPool([Member(key="default", names=(), model=served, is_preloaded=True)]),
        books=open_server_books(settings),
        metrics=Metrics(engines={"default": engine}),
    )
