"""What programs that use seekd need for their own tests."""
