import gzip

import numpy as np
import pytest
from Bio.Data.PDBData import protein_letters_1to3

from neuronlab.proteins import structures
from neuronlab.proteins.structures import Structure, match, read_structure

BACKBONE = ("N", "CA", "C", "O")
# Letters alone cannot tell which of the three glycines at 3, 5 and 6 a loop has taken.
PROTEIN = "MKGSGGSAYIQRWVKLDEFH"


def rows(chain, letters, numbers=None):
    """(record, name of the residue, chain, number, insertion code, atoms) of each residue."""
    numbers = numbers or range(1, len(letters) + 1)
    return [
        ("ATOM", protein_letters_1to3[letter].upper(), chain, number, "", BACKBONE)
        for letter, number in zip(letters, numbers, strict=True)
    ]


def pdb(residues, before=""):
    lines = [before] if before else []
    for record, name, chain, number, code, atoms in residues:
        for atom in atoms:
            serial, element = len(lines) + 1, "CA" if name == "CA" else atom[0]
            lines.append(
                f"{record:6}{serial:5}  {atom:3} {name:>3} {chain}{number:4}{code or ' '}   "
                f"{number:8.3f}{serial / 7:8.3f}{0:8.3f}{1:6.2f}{0:6.2f}          {element:>2}"
            )
    return "\n".join([*lines, "END", ""])


COLUMNS = (
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id",
    "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_asym_id",
    "pdbx_PDB_model_num",
)


def cif(*models):
    lines = ["data_test", "#", "loop_", *(f"_atom_site.{c}" for c in " ".join(COLUMNS).split())]
    for model, residues in enumerate(models, start=1):
        for record, name, chain, number, code, atoms in residues:
            for atom in atoms:
                lines.append(
                    f"{record} {len(lines)} {atom[0]} {atom} . {name} {chain} {number} "
                    f"{code or '?'} {number}.0 {len(lines)}.0 0.0 1.0 0.0 {number} {chain} {model}"
                )
    return "\n".join([*lines, "#", ""])


def read(text):
    return read_structure("file", text.encode())


MIXED = [
    *rows("A", "KG", [2, 3]),
    ("HETATM", "MSE", "A", 4, "", BACKBONE),
    ("ATOM", "SER", "A", 4, "A", BACKBONE),
    ("ATOM", "UNK", "A", 5, "", BACKBONE),
    ("ATOM", "TRP", "A", 6, "", ("N",)),
    *rows("B", "WVK", [10, 11, 12]),
    ("ATOM", "DA", "D", 1, "", ("P", "C1'")),
    ("HETATM", "CA", "A", 301, "", ("CA",)),
    ("HETATM", "ATP", "A", 302, "", ("PA", "N1")),
    ("HETATM", "HOH", "A", 401, "", ("O",)),
]


@pytest.mark.parametrize(("write", "form"), [(pdb, "pdb"), (cif, "cif")])
def test_both_formats_give_the_residues_of_the_protein_chains(write, form):
    structure = read(write(MIXED))
    assert structure.format == form
    assert set(structure.chains) == {"A", "B"}
    assert structure.chains["A"].sequence == "KGMSX"
    assert structure.chains["A"].residues == ((2, ""), (3, ""), (4, ""), (4, "A"), (5, ""))
    assert structure.chains["B"].sequence == "WVK"
    assert structure.text == write(MIXED)


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(ends):
    text = "\ufeff" + pdb(MIXED).replace("\n", ends)
    assert read(text).chains == read(pdb(MIXED)).chains


def test_only_the_first_model_of_pdb():
    models = [pdb(rows("A", letters)).replace("END\n", "ENDMDL\n") for letters in ("KGS", "WWW")]
    structure = read("MODEL        1\n" + "MODEL        2\n".join(models) + "END\n")
    assert structure.chains["A"].sequence == "KGS"
    assert "TRP" not in structure.text
    assert read(structure.text).chains == structure.chains


def test_only_the_first_model_of_mmcif():
    structure = read(cif(MIXED, rows("A", "WWW")))
    assert structure.format == "cif"
    assert structure.chains == read(cif(MIXED)).chains
    again = read(structure.text)
    assert again.chains == structure.chains
    assert again.text == structure.text


def test_models_that_do_not_end_are_still_models():
    models = [pdb(rows("A", letters)).replace("END\n", "") for letters in ("KGS", "WWW")]
    structure = read("MODEL        1\n" + "MODEL        2\n".join(models))
    assert structure.chains["A"].sequence == "KGS"
    assert read(structure.text).format == structure.format


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no atoms"),
        (b"\x00\x01\x02", "no atoms"),
        (b">protein\nMKG\n", "no atoms"),
        (b"\xff\xfe\x9f", "not plain text"),
        (gzip.compress(pdb(MIXED).encode(), mtime=0), "unpack"),
        (b"ATOM is what matter is made of\n", "cannot be read"),
        (pdb(rows("A", "MKG")).replace("   0.000", "   x.y00").encode(), "cannot be read"),
        (cif(rows("A", "MKG"))[:-40].encode(), "cannot be read"),
        (b"data_x\n_atom_site.id 1\n", "cannot be read"),
        (b"data_x\n_atom_site.id\n;1\n", "cannot be read"),
        (pdb(MIXED[-4:]).encode(), "no protein chain"),
        (cif(MIXED[-4:]).encode(), "no protein chain"),
    ],
)
def test_what_is_no_structure_is_told_in_one_sentence(data, says, sentence):
    assert sentence(read_structure, "my file", data, says=says).startswith("my file ")


def test_too_large(sentence, monkeypatch):
    sentence(read_structure, "x.pdb", b" " * (structures.MAX_BYTES + 1), says="20 MB")
    monkeypatch.setattr(structures, "MAX_ATOMS", 11)
    for write in (pdb, cif):
        data = write(rows("A", "MKG")).encode()
        sentence(read_structure, "x", data, says="more than 11 atoms")
    monkeypatch.setattr(structures, "MAX_ATOMS", 12)
    assert read(pdb(rows("A", "MKG"))).chains


def shown(sequence, kept, numbers=None, chain="A"):
    """A structure of the residues at the (one-based) places ``kept`` of a sequence."""
    return rows(chain, [sequence[i - 1] for i in kept], numbers or kept)


def numbers_of(found):
    return [None if place is None else place[0] for place in found.residues]


@pytest.mark.parametrize("write", [pdb, cif])
@pytest.mark.parametrize("missing", [{1, 4, 5}, {3, 4, 5, 20}, {5, 6, 18, 19}, set()])
def test_numbers_say_which_residues_a_loop_has_taken(write, missing):
    kept = [i for i in range(1, 21) if i not in missing]
    found = match(read(write(shown(PROTEIN, kept))), PROTEIN)
    assert numbers_of(found) == [i if i in kept else None for i in range(1, 21)]
    assert found.identity == 1
    assert found.covered == len(kept) / 20


def test_numbers_may_start_anywhere():
    kept = [2, 3, 6, 7, *range(8, 20)]
    found = match(read(pdb(shown(PROTEIN, kept, [i - 30 for i in kept]))), PROTEIN)
    assert numbers_of(found) == [i - 30 if i in kept else None for i in range(1, 21)]


def protein(length, seed=0):
    return "".join(np.random.default_rng(seed).choice(list(protein_letters_1to3), length))


def test_a_loop_is_found_without_numbers():
    sequence = protein(60)
    kept = [*range(1, 21), *range(31, 61)]
    found = match(read(pdb(shown(sequence, kept, range(1, 51)))), sequence)
    assert numbers_of(found) == [*range(1, 21), *[None] * 10, *range(21, 51)]


@pytest.mark.parametrize("jump", [4, 1_000, -200])
def test_skipped_numbers_need_not_be_a_loop(jump):
    sequence = protein(60)
    numbers = [100 + i + (jump if i > 30 else 0) for i in range(60)]
    found = match(read(pdb(rows("A", sequence, numbers))), sequence)
    assert numbers_of(found) == numbers


def test_insertion_codes_and_modified_residues_are_matched():
    residues = rows("A", PROTEIN, [1, 2, 3, 3, 3, *range(4, 19)])
    residues[0] = ("HETATM", "MSE", *residues[0][2:])
    for i, code in ((3, "A"), (4, "B")):
        residues[i] = (*residues[i][:4], code, BACKBONE)
    for write in (pdb, cif):
        found = match(read(write(residues)), PROTEIN)
        assert found.residues[:6] == ((1, ""), (2, ""), (3, ""), (3, "A"), (3, "B"), (4, ""))
        assert (found.identity, found.covered) == (1, 1)


def test_tags_and_mutations():
    mutant = PROTEIN[:9] + "L" + PROTEIN[10:]
    found = match(read(pdb(rows("A", "GSHH" + mutant, range(-3, 21)))), PROTEIN)
    assert numbers_of(found) == list(range(1, 21))
    assert found.identity == pytest.approx(0.95)


def test_the_best_chain_is_taken():
    part = shown(PROTEIN, range(1, 15), chain="A")
    whole = rows("B", PROTEIN)
    other = rows("C", protein(40, seed=5))
    assert match(read(pdb([*other, *part, *whole])), PROTEIN).chain == "B"
    assert match(read(pdb([*rows("D", PROTEIN), *whole])), PROTEIN).chain == "D"


def test_a_long_relative_does_not_hide_a_short_piece_of_the_protein():
    rng = np.random.default_rng(1)
    sequence = protein(200)
    relative = "".join(c if rng.random() < 0.7 else "G" for c in sequence)
    residues = [*rows("A", relative), *shown(sequence, range(50, 155), chain="B")]
    assert match(read(pdb(residues)), sequence).chain == "B"


@pytest.mark.parametrize("write", [pdb, cif])
def test_another_protein_is_refused(write, sentence):
    structure = read(write([*rows("A", protein(80, seed=2)), *rows("B", protein(90, seed=3))]))
    sentence(match, structure, protein(100), says=("another protein", "%", "this very protein"))


def test_relatives_and_small_parts_are_refused(sentence):
    rng = np.random.default_rng(1)
    sequence = protein(150)
    relative = "".join(c if rng.random() < 0.7 else "G" for c in sequence)
    sentence(match, read(pdb(rows("Q", relative))), sequence, says=("'Q'", "7", "upload"))
    part = read(pdb(shown(sequence, range(1, 70))))
    sentence(match, part, sequence, says="100% identical over 46% of the sequence")


def test_numbers_made_to_hurt_are_harmless():
    residues = tuple((i * 9_999, "") for i in range(5_000))
    hostile = Structure("pdb", "", {"A": structures.Chain("AG" * 2_500, residues)})
    assert match(hostile, "AG" * 100).identity == 1
