"""What a sample shows that its estimate cannot be trusted blindly: notes and their findings."""
