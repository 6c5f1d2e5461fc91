"""`python -m neuronlab.examples`: compute what is stored with the project, in its data folder."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from neuronlab import __version__, examples
from neuronlab.models import weights
from neuronlab.models.catalogue import EMBEDDED, entry
from neuronlab.runs import Context, Spec, Store, stored_result
from neuronlab.studies import STUDIES


def wanted() -> list[Spec]:
    """What every page opens on, of the models that set-up fetches, the large examples included."""
    smalls = [spec for model in EMBEDDED if model.default for spec in examples.smalls(model.name)]
    of_large = (STUDIES[study].example(entry(model)) for study, model in examples.LARGE)
    smalls += filter(None, of_large)
    return list({spec.key: spec for spec in map(examples.large_of, smalls)}.values())


def main() -> None:
    """Compute what is missing, and remove what no page opens on any more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="a study; all of them, if not given")
    only = parser.parse_args().only
    missing = [
        model.name for model in EMBEDDED if model.default and not weights.installed(model.name)
    ]
    if missing:
        parser.error(f"{', '.join(missing)} must be fetched first: python -m neuronlab setup")
    specs = {spec.key: spec for spec in wanted()}
    for path in examples.STORED.glob("*.zip"):
        if path.stem not in specs:
            path.unlink()
    for key, spec in specs.items():
        path = examples.STORED / f"{key}.zip"
        if path.exists() or (only and only != spec.study):
            continue
        name = dict(spec).get("model", "several models")
        if "model" in dict(spec) and not weights.installed(name):  # it asks for terms
            print(f"{spec.study} of {name}: left out, since the model is not fetched", flush=True)
            continue
        print(f"{spec.study} of {name}", flush=True)
        store = Store()
        result = stored_result(STUDIES[spec.study], spec, store, Context())
        with tempfile.TemporaryDirectory() as folder:
            shelf = Store(Path(folder))
            made = store.provenance(key)
            provenance = {"created": made["created"], "example": f"NeuronLab {__version__}"}
            shelf.save(spec, result, seconds=made["seconds"], provenance=provenance)
            path.write_bytes(shelf.export(key))


if __name__ == "__main__":
    main()
