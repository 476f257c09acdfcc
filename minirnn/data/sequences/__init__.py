"""Sequences to learn from: texts, labelled sequences, tagged documents, pairs; their symbols, and their batches."""
