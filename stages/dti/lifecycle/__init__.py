"""The gate, the record of promotions, what a promoted model carries, what follows."""
