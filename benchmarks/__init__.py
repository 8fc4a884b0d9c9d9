"""Programs that show what the tool claims."""
