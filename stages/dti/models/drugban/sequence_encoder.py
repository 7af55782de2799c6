"""Target encoder ``sequence_cnn``: a convolutional network on residues, one row per residue."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.config.model import SequenceConfig
from stages.dti.features.store import PADDING_TOKEN, RESIDUE_TOKENS, Scalers, TargetFeatures
from stages.dti.models.drugban.batch import TargetBatch, round_up, tiled, window
from stages.dti.models.drugban.encoder import TargetEncoder
from stages.dti.models.drugban.ops import RowBatchNorm

RESIDUE_TILE = 64
"""The positions from one target's first residue to the next's are a multiple of this."""

PACK_TILE = 1024
"""All positions of a batch are a multiple of this, once there are as many."""


@dataclass(frozen=True)
class SequenceBatch(TargetBatch):
    """Sequences packed into one row of tokens, with gaps at least as wide as a convolution reaches.

    Attributes:
        tokens: int64 ``(positions,)``; ``PADDING_TOKEN`` in the gaps.
    """

    tokens: Tensor


def sequence_batch(
    features: TargetFeatures,
    rows: NDArray[np.int64],
    gap: int,
    crop: int = 0,
    generator: np.random.Generator | None = None,
) -> SequenceBatch:
    """Pack the sequences of ``rows`` of ``features``.

    Args:
        gap: positions left empty after each target; at least the widest kernel less one.
        crop: sequences longer than this are cut to a random window of ``crop`` residues; 0: never.
        generator: draws the windows; required when ``crop`` is not 0.
    """
    pieces, starts, ends, limits, position = [], [], [], [], 0
    for row in rows:
        first, last = int(features.residue_offsets[row]), int(features.residue_offsets[row + 1])
        first, last = window(first, last, crop, generator)
        pieces.append(features.residues[first:last])
        starts.append(position)
        ends.append(position + last - first)
        position += round_up(last - first + gap, RESIDUE_TILE)
        limits.append(position)
    packed = np.full(tiled(position, PACK_TILE), PADDING_TOKEN, dtype=np.int64)
    for start, end, piece in zip(starts, ends, pieces, strict=True):
        packed[start:end] = piece
    return SequenceBatch(
        tokens=torch.from_numpy(packed),
        gaps=torch.from_numpy(np.flatnonzero(packed == PADDING_TOKEN)),
        starts=np.asarray(starts, dtype=np.int64),
        ends=np.asarray(ends, dtype=np.int64),
        limits=np.asarray(limits, dtype=np.int64),
    )


class SequenceEncoder(TargetEncoder):
    """Residues to ``(positions, filters)``; zero in the gaps between packed sequences.

    Each layer is BatchNorm(ReLU(convolution)), as published. Convolutions keep the length, so
    that position i of the output is residue i, and gaps are masked again after each layer, so
    that a residue sees zeros beyond its sequence's ends whatever stands beside it in the batch.
    """

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.dim, self.width = config.filters[-1], RESIDUE_TOKENS
        self.gap = max(config.kernels) - 1
        self.embedding = nn.Embedding(RESIDUE_TOKENS, config.residue_dim, padding_idx=PADDING_TOKEN)
        widths = [config.residue_dim, *config.filters]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, (1, kernel))
            for (before, after), kernel in zip(pairwise(widths), config.kernels, strict=True)
        )
        self.norms = nn.ModuleList(RowBatchNorm(width) for width in config.filters)

    def collect(
        self,
        targets: TargetFeatures,
        rows: NDArray[np.int64],
        scalers: Scalers,
        crop: int = 0,
        generator: np.random.Generator | None = None,
    ) -> SequenceBatch:
        """Pack the sequences of ``rows``."""
        return sequence_batch(targets, rows, self.gap, crop, generator)

    def sizes(self, targets: TargetFeatures) -> NDArray[np.int64]:
        """Return the number of residues of each target."""
        return np.diff(targets.residue_offsets)

    def forward(self, targets: SequenceBatch) -> Tensor:
        """Return ``(positions, filters[-1])``, in the precision of the convolutions."""
        one_hot = torch.eye(RESIDUE_TOKENS, device=targets.tokens.device)
        one_hot[PADDING_TOKEN] = 0
        rows: Tensor = one_hot.index_select(0, targets.tokens)
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            weight: Tensor = convolution.get_parameter("weight")
            bias: Tensor = convolution.get_parameter("bias")
            if index == 0:
                # The embedding and the first convolution are both linear: one convolution over
                # one-hot residues does the work of the two, on 26 channels.
                table = self.embedding.weight
                weight = torch.einsum("oihk,ti->othk", weight, table)
            rows = norm(_convolve(rows, weight, bias), targets.gaps, rectify=True)
        return rows


def _convolve(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve ``(positions, channels)`` along positions, keeping the length.

    A 1 × k ``conv2d`` on this layout is channels-last without a copy, which is the fast path of
    the CPU kernels. Of an even kernel's two centres the right one is taken; it would give one
    position too many, so the last row, which lies in a gap, is left out.
    """
    kernel = weight.shape[-1]
    positions, channels = rows.shape
    if kernel % 2 == 0:
        rows = rows[:-1]
    image = rows.view(1, 1, -1, channels).permute(0, 3, 1, 2)
    weight = weight.contiguous(memory_format=torch.channels_last)
    convolved = F.conv2d(image, weight, bias, padding=(0, kernel // 2))
    return convolved.permute(0, 2, 3, 1).reshape(positions, -1)
