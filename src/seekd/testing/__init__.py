"""What programs that use seekd need for their own tests. Public: names here are kept."""

from seekd.engine.scripted import (
    Cached,
    Computed,
    Delay,
    Emit,
    EmitText,
    Fail,
    Finish,
    Script,
    ScriptedEngine,
    ScriptStep,
    say,
)
from seekd.testing.server import ScriptedServer, serve_script

__all__ = [
    "Cached",
    "Computed",
    "Delay",
    "Emit",
    "EmitText",
    "Fail",
    "Finish",
    "Script",
    "ScriptStep",
    "ScriptedEngine",
    "ScriptedServer",
    "say",
    "serve_script",
]
