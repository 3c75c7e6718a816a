"""What the command line is made of: options, notes in its words, files of tables."""
