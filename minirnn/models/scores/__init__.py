"""Scores of classes (`labels`), of spans in sequences (`spans`) and of texts (`texts`)."""
