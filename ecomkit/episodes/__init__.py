"""Episodes: drawn, put into words, certified, written, audited."""
