"""What several studies share: their questions, and how these are asked; no study itself."""
