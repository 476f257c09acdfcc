"""The parts of Seq2Seq: units, pairs as arrays, writing, judging, saving."""
