"""The grader: a ladder of checks, and a diagnosis that names the wrong term from the numbers alone."""
