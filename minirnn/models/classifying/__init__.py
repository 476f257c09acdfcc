"""What a classifier is made of: what it reads, its network, and how it is judged."""
