"""What tests of independence are made of: scores of dependence, permutations, p-values."""
