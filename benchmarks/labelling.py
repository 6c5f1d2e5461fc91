"""Labels for neurons: proteins a second, memory against corpus size, one worker against two.

    python benchmarks/labelling.py [--proteins 400] [--sizes 100,400,1600]
        [--splits alleles,species]

Exemplars of all FFN neurons of AntiBERTy over germline genes (a corpus larger than that repeats
them with other names), then statistical labels of all those neurons, judged on families held out
and on what else is asked for. Memory is the peak of a process of its own that reads so many
proteins. One worker is the local one, two are a Ray instance of two processors on this machine;
both compute the same exemplars, in turns, with one thread each, and their results are compared.
Ray's part is left out where it is not installed.
"""

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from neuronlab.proteins import corpora
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.proteins.corpora import CORPORA
from neuronlab.runs import Context, Result, Store, run_study
from neuronlab.studies.exemplars import ExemplarsSpec, ExemplarsStudy
from neuronlab.studies.neuron_labels import NeuronLabelsSpec, NeuronLabelsStudy

MODEL = "antiberty"


def corpus(count: int) -> str:
    """The name of a corpus of so many proteins, kept on this machine."""
    known = CORPORA["germlines"].proteins
    own = [
        AnnotatedProtein(f"{number} {p.name}", p.sequence, p.annotations)
        for number, p in ((n, known[n % len(known)]) for n in range(count))
    ]
    return corpora.keep(f"benchmark of {count}", own)


def exemplars(spec: ExemplarsSpec) -> tuple[float, Result]:
    """Seconds and the result, in a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = run_study(ExemplarsStudy(), spec, Store(Path(folder)), Context("cpu"))
        return time.perf_counter() - start, result


def measured(*arguments: str, **environment: str) -> list[float]:
    """The numbers that this script prints in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    out = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return [float(word) for word in out.stdout.split()]


def peak(count: int) -> None:
    """Read so many proteins; print the process's peak memory in MB and the seconds."""
    seconds, _ = exemplars(ExemplarsSpec(model=MODEL, corpus=corpus(count)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds)


def worker(count: int) -> None:
    """The exemplars of so many proteins; print the seconds and a sum of the result."""
    seconds, result = exemplars(ExemplarsSpec(model=MODEL, corpus=corpus(count)))
    print(seconds, float(np.abs(result.arrays["top.ffn"]).sum(dtype=np.float64)))


def judged(spec: NeuronLabelsSpec, found: Result) -> None:
    """How labels do on the proteins held out, and what the others' labels do."""
    n = found.numbers
    print(
        f"{spec.split} held out: {n['labelled']:,} labelled, {n['distinct']:,} different; "
        f"median correlation {n['correlation']:.3f}, of other neurons' labels "
        f"{n['control_correlation']:.3f}, beaten {n['beaten']:.3f}; {n['related']:.0%} of "
        f"{n['judged']} judges have a relative that explains: {n['related_correlation']:.3f} with, "
        f"{n['unrelated_correlation']:.3f} without"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--proteins", type=int, default=400)
    parser.add_argument("--sizes", default="100,400,1600")
    parser.add_argument("--splits", default="alleles,species", help="beside families; may be none")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        peak(args.peak)
        return
    if args.worker:
        worker(args.worker)
        return
    CORPORA["germlines"].fetch()
    spec = NeuronLabelsSpec(model=MODEL)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        start = time.perf_counter()
        found = run_study(ExemplarsStudy(), spec.exemplars, store, Context("cpu"))
        read = time.perf_counter() - start
        store.save(spec.exemplars, found, seconds=read)
        start = time.perf_counter()
        labels = run_study(NeuronLabelsStudy(), spec, store, Context("cpu"))
        labelled = time.perf_counter() - start
    proteins, n = found.numbers["proteins"], labels.numbers
    print(f"{MODEL}, {n['neurons']:,} FFN neurons, {proteins:,} germline genes")
    print(f"exemplars {read:7.1f} s, {proteins / read:.1f} proteins a second")
    print(
        f"labels    {labelled:7.1f} s, {n['named']:,} named, {n['labelled']:,} of them at a false "
        f"discovery rate below .05, {n['distinct']:,} different"
    )
    judged(spec, labels)
    for split in filter(None, args.splits.split(",")):
        other = spec.model_copy(update={"split": split})
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            judged(other, run_study(NeuronLabelsStudy(), other, store, Context("cpu")))
    for count in map(int, args.sizes.split(",")):
        megabytes, seconds = measured("--peak", str(count))
        print(f"{count:6,} proteins: peak memory {megabytes:,.0f} MB, {seconds:.0f} s")
    if importlib.util.find_spec("ray") is None:
        print("ray is not installed: one worker only")
        return
    one = {"OMP_NUM_THREADS": "1"}
    two = one | {"NEURONLAB_RAY_ADDRESS": "local"}
    alone, first = measured("--worker", str(args.proteins), **one)
    together, second = measured("--worker", str(args.proteins), **two)
    print(
        f"{args.proteins} proteins: one worker {alone:.0f} s, two {together:.0f} s (with Ray's "
        f"start), ratio {alone / together:.2f}; results differ by {abs(first - second) / first:.1e}"
    )


if __name__ == "__main__":
    main()
