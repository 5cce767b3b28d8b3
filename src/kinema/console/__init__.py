"""What commands share at the terminal: progress bars, tables, input files, output folders."""
