"""What must not pass: sensitive data in texts, and texts that a moderation service refuses."""
