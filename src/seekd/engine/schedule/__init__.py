"""Which sequences run next, and what of them: pure planning, no model, no clock, no I/O."""
