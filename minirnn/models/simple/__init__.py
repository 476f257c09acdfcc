"""What sequence models have to beat: of classes (`classes`), of tags (`tags`), of texts (`ngrams`). NumPy only."""
