"""A prompt as its tokens, or a protein as its residues, coloured by a value each.

The data is what ``widgets/browser/tokens.js`` draws.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from neuronlab.figures.charts import scale_end, scale_of_tokens, visible
from neuronlab.figures.colours import DIVERGING, DIVERGING_DARK
from neuronlab.figures.protein import state_name, value_colours
from neuronlab.figures.structures import TRACK
from neuronlab.proteins.secondary import three_states

# Up to so many tokens have their numbers written below them; of more, those that are loud: from
# such a share of the strongest on.
_WRITTEN = 32
_LOUD = 0.5


def strip(
    texts: Sequence[str],
    values: Sequence[float] | None = None,
    what: str = "",
    *,
    special: Collection[int] = (),
    residues: bool = False,
    chosen: int | None = None,
    beside: int | None = None,
    clickable: bool = True,
    large: bool = False,
    predicted: str = "",
    names: Sequence[str] = (),
    numbers: Sequence[str] = (),
    limit: float | None = None,
    states: str = "",
    linked: str = "",
    legend: Sequence[str] = (),
) -> dict[str, Any]:
    """The data of a strip of tokens.

    Args:
        texts: of the tokens.
        values: one per token, coloured around zero; None colours nothing.
        what: the values are.
        special: places of tokens that are not of the prompt: they have no colour and set no scale.
        residues: the others are residues of a protein, counted from 1.
        chosen: place of the token that is marked.
        beside: place of the residue that makes a pair with it.
        large: as a title.
        names: of the tokens, instead of their places.
        numbers: of the residues, where they do not count from 1: one per residue.
        predicted: what the model says next, behind the tokens.
        limit: the value of the strongest colour; if not given, the largest of these values that
            sets a scale: see ``charts.scale_end``, and of a text ``charts.scale_of_tokens``.
        states: DSSP letters of the residues: a line below each says helix, strand or neither, and
            a key what it means.
        linked: the name that the figures of one protein share: a residue under the pointer is
            marked in all of them.
        legend: what the two ends of the scale mean that is below the strip; none, if empty.
    """
    places = [at for at in range(len(texts)) if at not in special]
    if limit is None:
        scored = [] if values is None else [values[at] for at in places]
        outlier = not residues and places[:1] == [0]
        limit = (scale_of_tokens if outlier else scale_end)(scored)
    loud = -1.0 if len(places) <= _WRITTEN else _LOUD * limit
    written = values is not None and not (residues or large)
    number_of = {at: number for number, at in enumerate(places, start=1)} if residues else {}
    tokens: list[dict[str, Any]] = []
    for at, text in enumerate(texts):
        value = None if values is None or at in special else float(values[at])
        name = names[at] if names else _name(at, text, number_of.get(at))
        words = name if value is None or names else f"{name}: {what} {value:+.3g}"
        number = number_of.get(at, 0)
        state = states[number - 1].strip() if states and number else ""
        tokens.append(
            {
                "special": at in special,
                "text": _shown(text),
                "space": text.startswith(" "),
                "value": value,
                "words": f"{words}, {state_name(state)}" if state else words,
                "residue": number,
                "state": three_states(state),
                "number": _written_number(number, numbers),
                "below": _below(value)
                if written and value is not None and abs(value) > loud
                else "",
            }
        )
    if predicted:
        words = f"the model goes on: {visible(predicted)}"
        chip = {"text": _shown(predicted), "space": True, "value": None, "words": words}
        tokens.append(chip | {"special": False, "predicted": True, "number": "", "below": ""})
    count = "residues" if residues else "tokens"
    return {
        "tokens": tokens,
        "limit": limit or 1.0,
        "chosen": chosen,
        "beside": beside,
        "clickable": clickable,
        "large": large,
        "residues": residues,
        "states": {kind: (words, colour) for kind, words, _, colour in TRACK} if states else None,
        "linked": linked,
        "legend": list(legend),
        "beyond": "; ".join(
            f"{visible(texts[at])}{token['residue'] or ''}, {what} {token['value']:+.3g}"
            for at, token in enumerate(tokens)
            if abs(token["value"] or 0.0) > limit
        ),
        "alt": f"{len(places)} {count}" + (f", coloured by {what}" if what else ""),
        "light": DIVERGING,
        "dark": DIVERGING_DARK,
    }


def written(data: Mapping[str, Any]) -> str:
    """A strip as HTML that stands by itself on white, with a title for each token.

    Args:
        data: see ``strip``.
    """
    values = [token["value"] for token in data["tokens"]]
    over = np.array([-data["limit"], data["limit"]])
    colours = value_colours(np.array(values, float), over)
    return "".join(
        f"<span title='{escape(token['words'])}' style='{_paint(value, colour)}'>"
        f"{' ' * token['space']}{escape(token['text'])}</span>"
        for token, value, colour in zip(data["tokens"], values, colours, strict=True)
    ).join(("<p class='strip'>", "</p>"))


def _paint(value: float | None, colour: str) -> str:
    if value is None:
        return "border: 1px solid #BBB"
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    ink = "#FFF" if 0.3 * red + 0.59 * green + 0.11 * blue < 140 else "#16181D"
    return f"background: {colour}; color: {ink}"


def _below(value: float) -> str:
    """A value as it stands below its token, of a small one its first digit; no "-0.00"."""
    small = 0 < abs(value) < 0.005
    return f"{value:+.1g}" if small else f"{value + 0.0:+.2f}"


def _written_number(residue: int, numbers: Sequence[str]) -> str:
    """What stands above a residue: the number of the first, and of every tenth."""
    if not residue:
        return ""
    number = numbers[residue - 1] if numbers else str(residue)
    return number if residue == 1 or (number.endswith("0") and "." not in number) else ""


def _name(at: int, text: str, residue: int | None) -> str:
    """What a token is called: by its number among the residues, or among all tokens."""
    return f"{at + 1}: {visible(text)}" if residue is None else f"residue {residue} {text}"


def _shown(text: str) -> str:
    """A token as it stands in a sentence: a gap before it is its space."""
    words = text.removeprefix(" ")
    return visible(words if words.strip(" ") else text)
