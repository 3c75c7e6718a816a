"""The weights that ship with torchmist."""
