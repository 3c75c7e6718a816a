"""Words by several voices."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.loops.judging import Split, label_information
from benchmarks.loops.registry import Batch, Host, Judgement, loop

__all__ = ["Speaker", "utterances"]

_VOICES, _WORDS, _LENGTH = 8, 6, 128


def utterances(word: Tensor, voice: Tensor) -> Tensor:
    """Waves ``[N, 128]`` of words ``[N]`` (how loudness goes) by voices ``[N]`` (pitch, timbre)."""
    n = len(word)
    time = torch.linspace(0, 1, _LENGTH) + 0.1 * torch.rand(n, 1) - 0.05
    shapes = torch.stack([
        time, 1 - time, torch.exp(-((time - 0.5) / 0.15) ** 2), torch.ones_like(time),
        torch.exp(-((time - 0.2) / 0.1) ** 2) + torch.exp(-((time - 0.8) / 0.1) ** 2),
        (time > 0.5).float(),
    ])  # fmt: skip
    loudness = shapes[word, torch.arange(n)].clamp(min=0)
    pitch = (5 + 1.2 * voice[:, None]) * (1 + 0.03 * torch.randn(n, 1))
    phase = 2 * math.pi * torch.rand(n, 1)
    wave = sum(
        torch.cos(1.7 * k * (voice[:, None] + 1)) / k
        * torch.sin(k * (2 * math.pi * pitch * time + phase))
        for k in (1, 2, 3)
    )  # fmt: skip
    return loudness * wave + 0.1 * torch.randn(n, _LENGTH)


@loop("speaker", "words without the voice that says them, waves, z of 16 columns", "remove")
class Speaker(Host):
    """Six words by eight voices, waves of 128 samples, through two layers of convolutions.

    The word is wanted, the voice is not; both are independent. Judges: fresh probes on fresh
    waves, at most 1.79 nats of the word and 2.08 of the voice.
    """

    dz, dy, classes, noise = 16, _VOICES, _VOICES, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv1d(1, 16, 9, 4), nn.ReLU(), nn.Conv1d(16, 24, 5, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(24 * 13, self.dz),
        )  # fmt: skip
        self.head = nn.Linear(self.dz, _WORDS)

    def _draw(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        word, voice = torch.randint(_WORDS, (n,)), torch.randint(_VOICES, (n,))
        z = self.blur(self.encoder(utterances(word, voice)[:, None]))
        return z, word, voice

    def batch(self) -> Batch:
        z, word, voice = self._draw(128)
        return Batch(F.cross_entropy(self.head(z), word), z, voice)

    def judge(self) -> Judgement:
        def words(n: int, split: Split) -> tuple[Tensor, Tensor]:
            return self._draw(n)[:2]

        def voices(n: int, split: Split) -> tuple[Tensor, Tensor]:
            return self._draw(n)[::2]

        return Judgement(label_information(words, _WORDS), label_information(voices, _VOICES))
