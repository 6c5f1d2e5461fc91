"""Protein sequences: what people type, paste and upload."""
