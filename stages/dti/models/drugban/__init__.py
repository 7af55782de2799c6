"""DrugBAN: Bai et al., "Interpretable bilinear attention network with domain adaptation improves
drug–target prediction", Nature Machine Intelligence 5, 126–136 (2023)."""
