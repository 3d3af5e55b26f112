"""One module per family of chat layouts: conversation to segments."""
