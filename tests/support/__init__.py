"""What tests share: helpers, and values that several tests use."""
