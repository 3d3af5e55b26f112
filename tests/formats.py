"""The two formats that the protocol package speaks."""

from __future__ import annotations

from seekd.prompt.types import PackageFormat, PromptFormat

V41 = PackageFormat(prompt_format=PromptFormat.V41)
V4 = PackageFormat(prompt_format=PromptFormat.V4)
