"""A forecaster trained by three libraries, each as its user would write it: three scripts, run as whole processes.

Each reads a series (rows, 7 columns) from a ``.npy`` file, cuts the same windows (96 rows to read, the first column of
the next 24 to predict: 10,000 to train on, the following ones to validate), trains an LSTM of 64 units with a dense
head for 20 epochs of shuffled batches of 64 (Adam, gradients clipped at a norm of 1, mean squared error), judges it on
the validation windows after each epoch, and prints the two losses of every epoch as JSON.
"""
