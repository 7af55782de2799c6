"""The one model interface, DrugBAN and the baselines."""
