"""Read a PDB or mmCIF file with limits."""

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from Bio.Data.PDBData import protein_letters_3to1_extended
from Bio.PDB.MMCIF2Dict import MMCIF2Dict

from neuronlab import uploads
from neuronlab.errors import UserError

MAX_BYTES = 20_000_000
MAX_ATOMS = 100_000
UNKNOWN = "X"
_ALONE = "upload the chain you need alone"

# What force fields call residues by their charge or bonds, and what Biopython's table leaves out.
# HSE is homoserine in the PDB, which hardly any protein has, and a histidine in CHARMM.
_NAMES = {
    "H": "HID HIE HIP HSD HSE HSP HISA HISB HISD HISE HISH HIS1 HIS2",
    "C": "CYX CYM CYN CYSH CYS1 CYS2",
    "K": "LYN LSN LYSH",
    "D": "ASH ASPH ASPP",
    "E": "GLH GLUH GLUP",
    "R": "ARN ARGN",
    "Y": "TYM",
    "U": "SEC",
    "O": "PYL",
}
LETTERS = protein_letters_3to1_extended | {
    name: letter for letter, names in _NAMES.items() for name in names.split()
}


class Residue(NamedTuple):
    """A residue of a chain.

    Attributes:
        number: in the text that is drawn, where each number of a chain is one residue's.
        name: number and insertion code as the file has them, such as 52 or 52A.
    """

    number: int
    name: str


@dataclass(frozen=True)
class Chain:
    """The residues of a chain that have coordinates, in the order of the file.

    Attributes:
        sequence: one letter each, modified residues as what they were made from, ``X`` where that
            is not known.
        residues: of each letter.
    """

    sequence: str
    residues: tuple[Residue, ...]


@dataclass(frozen=True)
class Structure:
    """The first model of a structure file.

    Attributes:
        text: what the 3D viewer draws: mmCIF with one location of each atom, and with numbers of
            its own, because the viewer reads neither insertion codes nor alternate locations there.
        chains: chain id -> its residues, for the chains that are protein; ids are the authors',
            "?" where they gave none.
    """

    text: str
    chains: dict[str, Chain]


def read_structure(name: str, data: bytes) -> Structure:
    """The first model of a PDB or mmCIF file; the content tells which it is.

    Args:
        name: of the file, for messages.
        data: the file's content.

    Raises:
        UserError: not text, neither format, unreadable, without protein, or over the limits on
            bytes and atoms.
    """
    name = uploads.file_name(name)
    if len(data) > MAX_BYTES:
        raise uploads.too_large(name, MAX_BYTES, _ALONE)
    text = uploads.text_of(name, data).replace("\r\n", "\n").replace("\r", "\n")
    read = _reader(text)
    if read is None:
        raise UserError(f"{name} has no atoms in PDB or mmCIF format: upload a structure file.")
    try:
        atoms = read(text)
    # On damaged files reading fails in as many ways as there is code in it.
    except Exception as error:
        raise UserError(
            f"{name} cannot be read: save the structure again as PDB or mmCIF.", details=repr(error)
        ) from error
    if not all(abs(value) < _FARTHEST for atom in atoms for value in (atom.x, atom.y, atom.z)):
        raise UserError(f"{name} has an atom without a place in space: take it out.")
    if len(atoms) > MAX_ATOMS:
        raise uploads.too_many(name, MAX_ATOMS, "atoms", _ALONE)
    structure = _structure(atoms)
    if not structure.chains:
        raise UserError(f"{name} has no protein chain: upload the structure of a protein.")
    return structure


# --- Atoms ---------------------------------------------------------------------------------------


class _Atom(NamedTuple):
    """What of an atom is needed; ``altloc`` and ``code`` are "" where there is none."""

    hetero: bool
    element: str
    name: str
    altloc: str
    residue: str
    chain: str
    number: int
    code: str
    x: float
    y: float
    z: float
    occupancy: float


def _reader(text: str) -> Callable[[str], list[_Atom]] | None:
    if "_atom_site." in text and text.lstrip().startswith(("data_", "#")):
        return _cif_atoms
    return _pdb_atoms if any(map(_is_atom, text.split("\n"))) else None


def _is_atom(line: str) -> bool:
    return line.startswith(("ATOM ", "HETATM"))


def _pdb_atoms(text: str) -> list[_Atom]:
    """Of the first model."""
    atoms: list[_Atom] = []
    for line in text.split("\n"):
        if line.startswith(("MODEL", "ENDMDL")) and atoms:
            break
        if _is_atom(line):
            atoms.append(
                _Atom(
                    hetero=line.startswith("HETATM"),
                    element=line[76:78].strip(),
                    name=_word(line[12:16]),
                    altloc=line[16].strip(),
                    # The format has three letters; force fields take the next column, too.
                    residue=_word(line[17:21]),
                    chain=_word(line[21]),
                    number=int(line[22:26]),
                    code=line[26].strip(),
                    x=float(line[30:38]),
                    y=float(line[38:46]),
                    z=float(line[46:54]),
                    occupancy=float(line[54:60].strip() or 1),
                )
            )
    return atoms


def _cif_atoms(text: str) -> list[_Atom]:
    """Of the first model; only coordinates, and names of atoms and residues, are required."""
    table = MMCIF2Dict(io.StringIO(text))
    x = table["_atom_site.Cartn_x"]

    def column(*names: str) -> list[str]:
        """In each row what the first of these columns says that says something, else ""."""
        columns = [table[f"_atom_site.{name}"] for name in names if f"_atom_site.{name}" in table]
        rows = zip(*columns, strict=True) if columns else [()] * len(x)
        return [next((value for value in row if value not in (".", "?")), "") for row in rows]

    rows = zip(
        column("pdbx_PDB_model_num"),
        column("group_PDB"),
        column("type_symbol"),
        column("label_atom_id", "auth_atom_id"),
        column("label_alt_id"),
        column("label_comp_id", "auth_comp_id"),
        column("auth_asym_id", "label_asym_id"),
        column("auth_seq_id", "label_seq_id"),
        column("pdbx_PDB_ins_code"),
        x,
        table["_atom_site.Cartn_y"],
        table["_atom_site.Cartn_z"],
        column("occupancy"),
        strict=True,
    )
    atoms, first = [], None
    for model, group, element, name, altloc, residue, chain, number, code, *xyz, occupancy in rows:
        first = model if first is None else first
        # What has no number is no residue of a chain.
        if model == first and number:
            atoms.append(
                _Atom(
                    group == "HETATM",
                    element,
                    _word(name),
                    altloc,
                    _word(residue),
                    _word(chain),
                    int(number),
                    code,
                    *map(float, xyz),  # type: ignore[call-arg]  # three of them
                    float(occupancy or 1),
                )
            )
    return atoms


_RESERVED = ("data_", "loop_", "save_", "stop_", "global_")
# Angstrom; no structure is larger, and the viewer draws none beyond.
_FARTHEST = 1e5


def _word(text: str) -> str:
    """As one word, which the viewer can read: mmCIF's marks at its beginning are spelt out."""
    word = "_".join(text.split()) or "?"
    if (len(word) > 1 and word.lower().startswith(_RESERVED)) or word[0] in "_#$'\"[];":
        return f"x{ord(word[0]):x}{word[1:]}"
    return word


# --- Residues ------------------------------------------------------------------------------------


def _structure(atoms: Sequence[_Atom]) -> Structure:
    lines = ["data_structure", "loop_", *(f"_atom_site.{column}" for column in _COLUMNS)]
    chains: dict[str, list[tuple[str, Residue]]] = defaultdict(list)
    last: dict[str, tuple[int, int]] = {}  # the file's and our number of a chain's last residue
    for place in _places(atoms):
        residue = _conformation(place)
        name, chain, number, code = residue[0][4:8]
        before, ours = last.get(chain, (number - 1, number - 1))
        # Skipped numbers are skipped here, too: they are residues that are not seen.
        ours += max(number - before, 1)
        last[chain] = number, ours
        letter = _letter(name, {atom.name for atom in residue})
        if letter:
            chains[chain].append((letter, Residue(ours, f"{number}{code}")))
        for atom in residue:
            group = "HETATM" if atom.hetero and not letter else "ATOM"
            element = atom.element if atom.element.isalpha() else atom.name.lstrip("0123456789")[:1]
            lines.append(
                f"{group} {len(lines)} {element or '?'} {atom.name} {name} {chain} {ours} "
                f"{atom.x:.3f} {atom.y:.3f} {atom.z:.3f}"
            )
    return Structure(
        "\n".join([*lines, "#", ""]),
        {
            chain: Chain("".join(letter for letter, _ in shown), tuple(each for _, each in shown))
            for chain, shown in chains.items()
        },
    )


_COLUMNS = (
    *("group_PDB", "id", "type_symbol", "label_atom_id", "label_comp_id"),
    *("auth_asym_id", "auth_seq_id", "Cartn_x", "Cartn_y", "Cartn_z"),
)


def _places(atoms: Sequence[_Atom]) -> list[list[_Atom]]:
    """The atoms of each residue, those of all its alternate locations together.

    Residues of other names that have the same number are places of their own unless alternate
    locations tell that they share it.
    """
    places: list[list[_Atom]] = []
    latest: dict[tuple[str, int, str], list[_Atom]] = {}
    before = None
    for atom in atoms:
        key = atom.chain, atom.number, atom.code
        place = latest.get(key)
        goes_on = before == (key, atom.residue)
        shares = place and atom.altloc and (place[0].altloc or place[0].residue == atom.residue)
        if place and (goes_on or shares):
            place.append(atom)
        else:
            latest[key] = [atom]
            places.append(latest[key])
        before = key, atom.residue
    return places


def _conformation(place: Sequence[_Atom]) -> list[_Atom]:
    """One location of each atom: of the fullest alternate, as far as that has it."""
    occupancies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for atom in place:
        occupancies[atom.residue, atom.altloc].append(atom.occupancy)
    fullness = {key: sum(each) / len(each) for key, each in occupancies.items()}
    order = sorted(place, key=lambda atom: -fullness[atom.residue, atom.altloc])
    kept: dict[str, _Atom] = {}
    for atom in order:
        if atom.residue == order[0].residue:
            kept.setdefault(atom.name, atom)
    return [atom for atom in place if kept.get(atom.name) is atom]


def _letter(name: str, atoms: set[str]) -> str:
    """Empty for what is no residue of a protein chain; a calcium ion has an atom CA, too."""
    name = name.upper()
    # AMBER marks the ends of a chain: NALA, CVAL.
    ends = len(name) == 4 and name[0] in "NC"
    letter = LETTERS.get(name) or (LETTERS.get(name[1:], "") if ends else "")
    backbone = {"CA"} if letter else {"N", "CA", "C"}
    return (letter or UNKNOWN) if backbone <= atoms else ""
