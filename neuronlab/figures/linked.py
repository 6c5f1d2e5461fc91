"""Residues that 3D views share with the other figures of a protein: under a pointer, or chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import py3Dmol


class Place(NamedTuple):
    """Where a view has a residue.

    Attributes:
        panel: counted from 0, as are the models in it.
        model: of the panel.
        chain: id of the chain.
        number: of the residue in the model's text.
        text: what a pointer on it reads, behind the residue's name.
    """

    panel: int
    model: int
    chain: str
    number: int
    text: str


def link(view: py3Dmol.view, places: Mapping[int, Sequence[Place]], ink: str) -> None:
    """Have a view mark residues that other figures tell of; to be called once, before ``tell``.

    Args:
        places: of each residue, by its number in the sequence, from 1.
        ink: colour of the marks.
    """
    view.startjs += _LINK % (json.dumps(places), json.dumps(ink))


# The frame around the view passes on which residue a pointer is on, and which ones other figures
# tell of: see `proteins.viewer`. 3Dmol evaluates TELL and what is like it where nothing here is
# seen, hence what is global.
_LINK = """
const places = %s, ink = %s;
const residueOf = {};
for (const n in places)
  for (const [, , chain, number] of places[n]) residueOf[`${chain} ${number}`] = Number(n);
const tell = (residues, chosen = false) => parent.postMessage({residues, chosen}, "*");
function mark(residues) {
  for (const view of viewers) {
    view.removeAllLabels();
    view.removeAllShapes();
  }
  const atoms = {};
  for (const [panel, model, chain, resi, text] of residues.flatMap((n) => places[n] ?? [])) {
    const view = viewers[panel];
    const [atom] = view.getModel(model).selectedAtoms({chain, resi, atom: "CA"});
    if (!atom) continue;
    view.addLabel(`${atom.resn} ${text}`, {position: atom, fontSize: 13, inFront: true});
    const {x, y, z} = atom;
    view.addSphere({center: {x, y, z}, radius: 1.3, color: ink, opacity: 0.6});
    const [other] = (atoms[`${panel} ${model}`] ??= []);
    atoms[`${panel} ${model}`].push(atom);
    if (other) view.addCylinder({start: other, end: atom, radius: 0.15, color: ink, dashed: true});
  }
  for (const view of viewers) view.render();
}
addEventListener("message", ({data}) => { if (data.residues) mark(data.residues); });
const residueAt = ({chain, resi}) => residueOf[`${chain} ${resi}`];
Object.assign(globalThis, {residueAt, mark, tell});
"""
TELL = "function(atom) { const n = residueAt(atom); if (n) { mark([n]); tell([n]); } }"
TELL_NONE = "function() { mark([]); tell([]); }"
CHOOSE = "function(atom) { const n = residueAt(atom); if (n) tell([n], true); }"
