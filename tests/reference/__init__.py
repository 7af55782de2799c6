"""DrugBAN thrice beside the library's: as plain equations, padded pair by pair, as published."""
