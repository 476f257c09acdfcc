"""What the language model is made of: its data, its verdict, its samples, what its units follow."""
