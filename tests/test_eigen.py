"""Eigenvectors where single precision fails."""

from __future__ import annotations

import pytest
import torch

from torchmist.numerics.eigen import eigenvectors


def test_what_single_precision_cannot_solve_is_solved_in_double(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(0))
    symmetric = root @ root.mT
    expected, _ = torch.linalg.eigh(symmetric)
    solve = torch.linalg.eigh

    def fails_in_single(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("did not converge")
        return solve(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", fails_in_single)
    values, vectors = eigenvectors(symmetric)
    assert values.dtype == vectors.dtype == torch.float32
    torch.testing.assert_close(values, expected, atol=1e-4, rtol=1e-4)
    again = vectors @ torch.diag_embed(values) @ vectors.mT
    torch.testing.assert_close(again, symmetric, atol=1e-4, rtol=1e-4)
