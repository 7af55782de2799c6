"""Drug and target features, and the on-disk store that holds them."""
