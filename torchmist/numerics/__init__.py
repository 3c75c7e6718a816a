"""What all layers compute with: sorts, ranks, eigenvectors, cached constants, early stopping."""
