"""What is published of how methods compare: table 2 of arXiv 2312.12141."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One column pair of the paper's table 2: MRR and probability, after zeroing 10 neurons."""

    model: str
    rows: dict[str, tuple[float, float]]


# Arxiv 2312.12141v4 (EMNLP 2024), table 2. "original": nothing zeroed.
PAPER = (
    Published(
        "GPT2-large",
        {
            "original": (0.361, 0.071),
            "log_probability_increase": (0.201, 0.034),
            "log_probability": (0.214, 0.036),
            "probability_increase": (0.219, 0.037),
            "norm": (0.363, 0.071),
            "coefficient": (0.439, 0.086),
            "rank": (0.306, 0.058),
            "coefficient_norm": (0.394, 0.081),
            "coefficient_rank": (0.232, 0.040),
        },
    ),
    Published(
        "Llama-7B",
        {
            "original": (0.551, 0.215),
            "log_probability_increase": (0.312, 0.092),
            "log_probability": (0.339, 0.108),
            "probability_increase": (0.345, 0.100),
            "norm": (0.549, 0.213),
            "coefficient": (0.529, 0.229),
            "rank": (0.493, 0.181),
            "coefficient_norm": (0.523, 0.226),
            "coefficient_rank": (0.389, 0.130),
        },
    ),
)
