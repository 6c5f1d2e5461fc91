"""One cloze question."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """One cloze question.

    Attributes:
        prompt: text that the answer continues (a causal model's next token); or text that holds
            ``[MASK]`` once.
        answers: the accepted answers, without a leading space.
        relation: its kind, e.g. "capital": facts of one relation have answers that rival each
            other.
        name: identifies the fact; paraphrases of one fact share it ("capital/france").
        language: "en", "zh", …
        joiner: what stands between prompt (or what precedes the mask) and answer: " " or "".
    """

    prompt: str
    answers: tuple[str, ...]
    relation: str = ""
    name: str = ""
    language: str = "en"
    joiner: str = " "

    @property
    def title(self) -> str:
        """Its name, or its prompt where it has none."""
        return self.name or self.prompt
