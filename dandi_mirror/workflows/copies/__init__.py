"""Hold a share of the content, and restore versions from other mirrors."""
