"""What the Tagger is made of: parts and windows, what its networks read, decoding, the verdict."""
