"""DrugBAN exactly as its authors publish it, in plain torch instead of DGL.

P. Bai et al., Nature Machine Intelligence 5 (2023) 126; https://github.com/peizhenbai/DrugBAN (MIT
licence): ``models.py``, ``ban.py``, ``dataloader.py``, ``utils.py``; ``GCN`` of dgl-lifesci,
``GraphConv`` and ``add_self_loop`` of DGL, which they call. Written anew from what these compute.

Where its function is not ours (``corrected`` takes 1 and 2 away, nothing else does):

1. The CNN's output ``(filters, length)`` is reshaped to ``(length, filters)``, not transposed: a
   "residue" is 128 neighbouring positions of one filter, and no attention points at a residue.
2. A drug's atoms have two self-loops each: the graph is made with them, and given them once more
   after its virtual atoms. So an atom counts twice in its own message.
3. Padding takes part. Virtual atoms (a 75th feature tells them) and the positions after a sequence,
   which hold biases after the first layer, are rows of the attention as others are. What was meant
   to silence virtual atoms sets a row of the embedding's weight to 0 where their column is meant.
4. Convolutions are not padded: of 1,200 positions 1,185 are left. Position i is our row i + 8,
   where its window holds no padding (``shift``).
5. f is the sum over all atoms × residues, not the mean.
6. In training, batch normalisation runs over the padding.

1 and 2 corrected, the rest has no effect but on scale where nothing is padded and kernels are 1:
there the network is ours. Tests show all six.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.dti.features.store import ATOM_DIM, PADDING_TOKEN, RESIDUE_TOKENS
from tests.reference.layers import Attention, Classifier, GraphLayer
from tests.reference.padded import PaddedBatch, PaddedDrugs, PaddedTargets
from tests.reference.sizes import NetworkSizes, Padding


class _DrugEncoder(nn.Module):
    def __init__(self, sizes: NetworkSizes, *, corrected: bool) -> None:
        super().__init__()
        self.corrected = corrected
        self.embedding = nn.Linear(ATOM_DIM + 1, sizes.graph_dim, bias=False)
        nn.init.zeros_(self.embedding.weight[-1])
        self.layers = nn.ModuleList(GraphLayer(sizes.graph_dim) for _ in range(sizes.graph_layers))
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.get_parameter("convolution.weight"))
            nn.init.zeros_(layer.get_parameter("convolution.bias"))

    def forward(self, drugs: PaddedDrugs) -> Tensor:
        """Return ``(drugs, padded_atoms, dim)``, virtual atoms among them."""
        count, atoms, _ = drugs.atoms.shape
        features = torch.cat([drugs.atoms, 1 - drugs.mask], dim=2)
        sources, destinations = drugs.sources, drugs.destinations
        if not self.corrected:
            loops = drugs.mask.flatten().nonzero().squeeze(1)
            sources, destinations = torch.cat([sources, loops]), torch.cat([destinations, loops])
        rows: Tensor = self.embedding(features.view(-1, ATOM_DIM + 1))
        for layer in self.layers:
            rows = layer(rows, sources, destinations)
        return rows.view(count, atoms, -1)


class _TargetEncoder(nn.Module):
    def __init__(self, sizes: NetworkSizes, *, corrected: bool) -> None:
        super().__init__()
        self.corrected = corrected
        self.embedding = nn.Embedding(RESIDUE_TOKENS, sizes.filters[0], padding_idx=PADDING_TOKEN)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel) for before, after, kernel in sizes.convolutions
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in sizes.filters[1:])

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``(targets, padded_residues)`` to ``(targets, positions, filters)``."""
        rows: Tensor = self.embedding(tokens).transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            rows = norm(F.relu(convolution(rows)))
        if self.corrected:
            return rows.transpose(1, 2)
        return rows.view(len(rows), rows.shape[2], -1)


class PublishedDrugBAN(nn.Module):
    """The whole network; ``forward`` returns one logit per pair, in order.

    Args:
        corrected: transpose where the authors reshape, and one self-loop per atom where they have
            two, for comparison with ours.
    """

    def __init__(self, sizes: NetworkSizes, *, corrected: bool = False) -> None:
        super().__init__()
        self.kernels = sizes.kernels
        self.drug_encoder = _DrugEncoder(sizes, corrected=corrected)
        self.target_encoder = _TargetEncoder(sizes, corrected=corrected)
        self.attention = Attention(sizes)
        self.joint_norm = nn.BatchNorm1d(sizes.dim)
        self.classifier = Classifier(sizes)

    @property
    def shift(self) -> tuple[int, int]:
        """How many of our rows of a target come before the first position here, how many after."""
        before = sum(kernel // 2 for kernel in self.kernels)
        return before, sum(kernel - 1 for kernel in self.kernels) - before

    def encode_drugs(self, drugs: PaddedDrugs) -> Tensor:
        """Return v, ``(drugs, padded_atoms, K)``, of virtual atoms too."""
        return self.attention.project_drugs(self.drug_encoder(drugs))

    def encode_targets(self, targets: PaddedTargets) -> Tensor:
        """Return q, ``(targets, positions, K)``, of padding too."""
        return self.attention.project_targets(self.target_encoder(targets.tokens))

    def forward(self, batch: PaddedBatch) -> Tensor:
        """Return logits ``(pairs,)``."""
        v, q = self.encode_drugs(batch.drugs), self.encode_targets(batch.targets)
        logits: Tensor = self.classifier(self.joint_norm(self.attention(v, q)))
        return logits


def corrected_with_weights_of(
    network: nn.Module, sizes: NetworkSizes, padding: Padding
) -> PublishedDrugBAN:
    """Return the corrected network, in eval mode, with the weights of a library's ``network``.

    The mean over atoms × residues goes into the statistics of the joint normalisation. Virtual
    atoms have a column of zeros.
    """
    corrected = PublishedDrugBAN(sizes, corrected=True)
    cells = padding.atoms * (padding.residues - sum(corrected.shift))
    state = dict(network.state_dict())
    embedding, epsilon = "drug_encoder.embedding.weight", corrected.joint_norm.eps
    state[embedding] = F.pad(state[embedding], (0, 1))
    for name in state:
        if name.startswith("target_encoder.convolutions.") and name.endswith(".weight"):
            state[name] = state[name][:, :, 0, :]
    mean, variance = "joint_norm.running_mean", "joint_norm.running_var"
    state[mean] = cells * state[mean]
    state[variance] = cells**2 * (state[variance] + epsilon) - epsilon
    corrected.load_state_dict(state)
    return corrected.eval()
