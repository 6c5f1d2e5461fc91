"""`attribute`: the neurons behind one prediction."""

from __future__ import annotations

import argparse
import ast
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from neuronlab.cli.computing import compute
from neuronlab.cli.terminal import check_path, quiet, table
from neuronlab.errors import UserError
from neuronlab.models.components import ALL_COMPONENTS

if TYPE_CHECKING:
    from neuronlab.models import Model
    from neuronlab.neurons import NeuronScores
    from neuronlab.runs import Result
    from neuronlab.studies.attribution import AttributionSpec
    from neuronlab.verdicts import Verdict

# Written out so that --help needs no torch; a test compares them with the real ones.
CHOICES = {
    "objective": ("probability", "log_probability", "logit"),
    "positions": ("predicted", "all"),
    "baseline": ("zero", "input", "mean"),
    "engine": ("fast", "captum"),
    "variant": ("sound", "authors"),
}
_BUT = {"baseline": "; mean for amig"}
TOLERANCE = 0.05
ENDINGS = (".parquet", ".csv")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "attribute", help="score the neurons behind one prediction", allow_abbrev=False
    )
    parser.add_argument("text", metavar="TEXT", help="the text, or a protein in one-letter codes")
    parser.add_argument(
        "--model", required=True, help="a catalogue name, a hub id, a folder or a GGUF file"
    )
    _add_target(parser)
    _add_settings(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps (default: auto)")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many to print")
    parser.add_argument("--out", type=Path, metavar="FILE", help="all scores, .parquet or .csv")
    parser.set_defaults(run=run)


def _add_target(parser: argparse.ArgumentParser) -> None:
    """What is explained, beside which foil, and where it is."""
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--target",
        help="a token such as ' Paris', a residue, or a class (name or index); "
        "without it, the model's own first choice",
    )
    target.add_argument(
        "--target-id", type=int, metavar="I", help="the target by its index in the vocabulary"
    )
    foil = parser.add_mutually_exclusive_group()
    foil.add_argument(
        "--foil",
        help="what the target is compared with: explain the difference of the two "
        "log-probabilities",
    )
    foil.add_argument(
        "--foil-id", type=int, metavar="I", help="the foil by its index in the vocabulary"
    )
    parser.add_argument("--mask", type=int, metavar="I", help="the hidden residue, from 0")
    parser.add_argument(
        "--prefix", help="of an encoder-decoder: what the decoder has said, as '<extra_id_0>'"
    )


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """How it is scored."""
    methods = method_names()
    parser.add_argument("--method", default=methods[0], choices=methods)
    parser.add_argument(
        "--components",
        type=_components,
        metavar="LIST",
        help=f"some of {','.join(ALL_COMPONENTS)} (default: the first four, and of an "
        "encoder-decoder the next three, or those of them that the method can score)",
    )
    for name, choices in CHOICES.items():
        parser.add_argument(
            f"--{name}", choices=choices, help=f"default: {choices[0]}{_BUT.get(name, '')}"
        )
    parser.add_argument(
        "--tolerance",
        type=_positive,
        default=TOLERANCE,
        help=f"of integrated gradients: error allowed, as a fraction (default: {TOLERANCE})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random method")


def method_names() -> list[str]:
    """Names of the methods as they are listed, read off their files: --help needs no torch."""
    package = find_spec("neuronlab.attribution")
    folders = package.submodule_search_locations if package else None
    orders: dict[str, int] = {}
    for file in sorted(file for folder in folders or () for file in Path(folder).glob("*.py")):
        text = file.read_text("utf-8")
        calls = ast.walk(ast.parse(text)) if "register(" in text else ()
        for call in calls:
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Method":
                fields = {word.arg: word.value for word in call.keywords}
                order = fields.get("order")
                name = ast.literal_eval(fields["name"])
                orders[name] = ast.literal_eval(order) if order else sys.maxsize
    return sorted(orders, key=lambda name: orders[name])


def run(args: argparse.Namespace) -> None:
    """Print the prediction and the top neurons, and write all scores."""
    if args.top < 1:
        raise UserError("--top must be at least 1.")
    if args.out:
        _check_out(args.out)
    from neuronlab.models import shared
    from neuronlab.studies.attribution import scores_of

    spec = spec_of(args)
    result = compute(spec, args.device)
    scores, model = scores_of(result), shared(args.model, args.device)
    for sentence in _doubts(spec.text, model):
        print(sentence, file=sys.stderr)
    if model.note:
        print(model.note)
    _print(result, scores, spec.positions, args.top)
    _print_trust(scores, model)
    if args.out:
        _save(scores, args.out)
        print(f"\nAll scores: {args.out}")


def _doubts(text: str, model: Model) -> list[str]:
    """Why a text may be none that the model was made for, as the app's badges and warnings say."""
    from neuronlab.models.residues import besides, clean_sequence, doubt
    from neuronlab.verdicts import domain

    sentences = []
    if model.alphabet == "protein":
        text = clean_sequence(text, model.residues)
        if like_dna := doubt([text]):  # the verdict says no more
            return [like_dna]
        sentences = [words] if (words := besides(text)) else []
    verdict = domain(model.name, text, model.alphabet)
    if verdict is not None and verdict.level != "good":
        sentences.append(_sentence(verdict))
    return sentences


def _sentence(verdict: Verdict) -> str:
    return f"{verdict.words[0].upper()}{verdict.words[1:]}."


def spec_of(args: argparse.Namespace) -> AttributionSpec:
    """The spec that the app builds for the same choices; loads the model."""
    from neuronlab.attribution import method
    from neuronlab.attribution.attribute import default_components
    from neuronlab.models import shared
    from neuronlab.studies.attribution import AttributionSpec

    quiet()
    model = shared(args.model, args.device)
    if args.components is None:
        args.components = default_components(method(args.method), model)
    names = ("text", "mask", "prefix", "method", "components", *CHOICES, "tolerance", "seed")
    return AttributionSpec(
        model=args.model,
        revision=model.revision,
        target=_choice(args.target, args.target_id, model),
        foil=_choice(args.foil, args.foil_id, model),
        **{name: value for name in names if (value := getattr(args, name)) is not None},
    )


def _choice(text: str | None, index: int | None, model: Model) -> str | int | None:
    if index is not None:
        return index
    if model.kind == "classifier" and text is not None:
        if text in model.labels:
            return model.labels.index(text)
        if text.isdecimal():
            return int(text)
    return text


def _components(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in ALL_COMPONENTS:
            raise argparse.ArgumentTypeError(
                f"'{name}' is no component: choose from {','.join(ALL_COMPONENTS)}"
            )
    return names


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no positive number")
    return number


def _print(result: Result, scores: NeuronScores, positions: str, top: int) -> None:
    from neuronlab.studies.bases.one_prompt import control_in, judged_in

    numbers = result.numbers
    # repr: shows leading spaces, and keeps control characters of a token off the terminal.
    label = repr(numbers["target_label"])
    print(f"{label} has probability {numbers['probability']:.4f}, rank {numbers['rank']}.")
    judged = judged_in(numbers)
    name, form = "probability", ".4f"
    if judged == "log_odds":
        name, form = f"log-odds against {numbers['foil_label']!r}", "+.4f"
        print(f"Its {name}: {numbers['log_odds']:+.4f} (difference of the log-probabilities).")
    if numbers.get("note"):
        print(numbers["note"])
    predictions = result.tables["predictions"].itertuples(index=False)
    choices = [(p.rank, repr(p.token), f"{p.probability:.4f}") for p in predictions]
    print("\n" + table(("rank", "prediction", "probability"), choices))
    rows = [
        (n.rank, scores.layer_names[n.layer], n.component, n.neuron, f"{n.score:+.6f}")
        for n in scores.top(top).itertuples(index=False)
    ]
    where = "summed over all positions" if positions == "all" else "of the predicted position"
    print(f"\nScores {where}:\n")
    print(table(("rank", "layer", "component", "neuron", "score"), rows))
    words, mean, sd = control_in(numbers)
    print(
        f"\nWith the top {numbers['suppressed']} switched off: {name} "
        f"{numbers[f'{judged}_suppressed']:{form}}; with as many {words}: {mean:{form}} ± {sd:.4f}."
    )


def _print_trust(scores: NeuronScores, model: Model) -> None:
    """How far the method itself trusts its scores, as the app's badges say it."""
    from neuronlab.studies.attribution import mean_error, mean_gap
    from neuronlab.verdicts import additivity, precision

    verdicts = (
        precision(mean_error(scores)),
        additivity(mean_gap(scores), continuous=model.family.continuous),
    )
    for verdict in verdicts:
        if verdict is not None:
            print(_sentence(verdict))


def _check_out(path: Path) -> None:
    check_path(path)
    if path.suffix not in ENDINGS:
        raise UserError(f"--out must end in {' or '.join(ENDINGS)}, and '{path}' does not.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"There is no folder '{path.absolute().parent}' to write '{path.name}' to.")


def _save(scores: NeuronScores, path: Path) -> None:
    try:
        if path.suffix == ".csv":
            from neuronlab import spreadsheets

            path.write_bytes(spreadsheets.csv(scores.to_frame()).encode())
        else:
            scores.save(path)
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {error.strerror or error}.") from error
