"""What the models of sequences have in common: parameters, fitting, reading, saving, judging."""
