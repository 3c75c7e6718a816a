"""Information of labels, counted without a network: tables, their posterior, shared labels."""
