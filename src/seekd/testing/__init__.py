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
from seekd.testing.faults import FAULTS, Fault, fault
from seekd.testing.kit import Kit, Rule
from seekd.testing.matching import ANY
from seekd.testing.open_kit import open_kit
from seekd.testing.replies import Reply, SaidToken, ToolCall, tool_call
from seekd.testing.seen import SeenRequest
from seekd.testing.server import ScriptedServer, serve_script

__all__ = [
    "ANY",
    "FAULTS",
    "Cached",
    "Computed",
    "Delay",
    "Emit",
    "EmitText",
    "Fail",
    "Fault",
    "Finish",
    "Kit",
    "Reply",
    "Rule",
    "SaidToken",
    "Script",
    "ScriptStep",
    "ScriptedEngine",
    "ScriptedServer",
    "SeenRequest",
    "ToolCall",
    "fault",
    "open_kit",
    "say",
    "serve_script",
    "tool_call",
]
