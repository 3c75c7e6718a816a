"""What a term of a loss is made of: its goals, gradients, second opinions, memory and probes."""
