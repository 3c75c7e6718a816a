"""Pictures; all of them need matplotlib."""
