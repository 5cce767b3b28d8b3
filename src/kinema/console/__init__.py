"""What commands share with a person at a terminal: progress bars, tables, shared flags, output folders, messages."""
