"""`seekd chat`: a conversation in the terminal with any server that speaks Chat Completions."""
