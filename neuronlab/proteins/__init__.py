"""Proteins: sequences, corpora, features, families, structures, and what people upload of them."""
