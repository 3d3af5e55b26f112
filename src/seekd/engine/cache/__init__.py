"""The prefix cache: which computed tokens are known, in running sequences, memory and on disk."""
