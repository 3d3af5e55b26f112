"""Output constraints: JSON, schema, regex and tool calls as grammars, and their matchers."""
