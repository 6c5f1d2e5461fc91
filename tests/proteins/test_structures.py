import gzip
import io

import numpy as np
import pytest
from Bio.Data.PDBData import protein_letters_1to3
from Bio.PDB.MMCIF2Dict import MMCIF2Dict

from neuronlab.proteins import structures
from neuronlab.proteins.matching import match
from neuronlab.proteins.structures import Residue, Structure, read_structure

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


@pytest.mark.parametrize("write", [pdb, cif])
def test_both_formats_give_the_residues_of_the_protein_chains(write):
    structure = read(write(MIXED))
    assert set(structure.chains) == {"A", "B"}
    assert structure.chains["A"].sequence == "KGMSX"
    assert structure.chains["A"].residues == ((2, "2"), (3, "3"), (4, "4"), (5, "4A"), (6, "5"))
    assert structure.chains["B"].sequence == "WVK"
    assert drawn(structure) == drawn(read(pdb(MIXED)))


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(ends):
    text = "\ufeff" + pdb(MIXED).replace("\n", ends)
    assert read(text).chains == read(pdb(MIXED)).chains


def test_only_the_first_model_of_pdb():
    models = [pdb(rows("A", letters)).replace("END\n", "ENDMDL\n") for letters in ("KGS", "WWW")]
    text = "MODEL        1\n" + "MODEL        2\n".join(models) + "END\n"
    assert read(text) == read(pdb(rows("A", "KGS")))


def test_only_the_first_model_of_mmcif():
    assert read(cif(MIXED, rows("A", "WWW"))) == read(cif(MIXED))


def test_models_that_do_not_end_are_still_models():
    models = [pdb(rows("A", letters)).replace("END\n", "") for letters in ("KGS", "WWW")]
    text = "MODEL        1\n" + "MODEL        2\n".join(models)
    assert read(text) == read(pdb(rows("A", "KGS")))


def drawn(structure):
    """(chain, number, residue, atom, x) of every atom that the viewer is given."""
    names = ("auth_asym_id", "auth_seq_id", "label_comp_id", "label_atom_id", "Cartn_x")
    table = MMCIF2Dict(io.StringIO(structure.text))
    columns = [table[f"_atom_site.{name}"] for name in names]
    return [
        (chain, int(number), residue, atom, float(x))
        for chain, number, residue, atom, x in zip(*columns, strict=True)
    ]


# The loops L1, H2 and H3 of an antibody in Kabat's numbers.
LOOP = [
    *((52, ""), (52, "A"), (52, "B"), (52, "C"), (53, ""), (54, ""), (58, "")),
    *((100, ""), *((100, code) for code in "ABCDEFGHIJK"), (101, ""), (102, "")),
]


@pytest.mark.parametrize("write", [pdb, cif])
def test_residues_with_insertion_codes_have_numbers_of_their_own(write):
    letters = protein(len(LOOP))
    residues = [
        (record, name, chain, number, code, atoms)
        for (number, code), (record, name, chain, _, _, atoms) in zip(
            LOOP, rows("H", letters), strict=True
        )
    ]
    structure = read(write(residues))
    chain = structure.chains["H"]
    assert chain.sequence == letters
    assert [each.name for each in chain.residues] == [f"{number}{code}" for number, code in LOOP]
    numbers = [each.number for each in chain.residues]
    assert numbers == sorted(set(numbers))
    # A residue that is not seen is still skipped, and none is added.
    assert np.diff(numbers)[[5, 6]].tolist() == [4, 42]
    assert set(np.delete(np.diff(numbers), [5, 6])) == {1}
    names = [protein_letters_1to3[letter].upper() for letter in letters]
    assert drawn(structure) == [
        ("H", number, name, atom, float(residue[3]))
        for number, name, residue in zip(numbers, names, residues, strict=True)
        for atom in BACKBONE
    ]


# As crambin's file has it (PDB 1EJG): two residues at one place, at 22 and at 25.
CRAMBIN = """\
ATOM    331  N   GLU A  23      11.018   9.132   8.009  1.00  2.06           N
ATOM    332  CA AGLU A  23      10.000   9.926   8.639  0.35  2.20           C
ATOM    333  CA BGLU A  23      20.000   9.926   8.639  0.65  2.20           C
ATOM    334  C   GLU A  23      11.390   8.927  10.072  1.00  2.39           C
ATOM    335  O   GLU A  23      12.390   8.927  10.072  1.00  2.39           O
ATOM    300  N  APRO A  24      30.000   6.132   8.009  0.60  2.06           N
ATOM    301  CA APRO A  24      30.000   6.926   8.639  0.60  2.20           C
ATOM    302  C  APRO A  24      30.000   6.927  10.072  0.60  2.39           C
HETATM  303  N  BMSE A  24      40.000   6.132   8.009  0.40  2.06           N
HETATM  304  CA BMSE A  24      40.000   6.926   8.639  0.40  2.20           C
HETATM  305  C  BMSE A  24      40.000   6.927  10.072  0.40  2.39           C
ATOM    306  N  ALEU A  25      50.000   6.132   8.009  0.30  2.06           N
ATOM    307  N  BILE A  25      60.000   6.132   8.009  0.70  2.06           N
ATOM    308  CA ALEU A  25      50.000   6.926   8.639  0.30  2.20           C
ATOM    309  CA BILE A  25      60.000   6.926   8.639  0.70  2.20           C
ATOM    310  N   CYS A  26      70.000   6.926   8.639  1.00  2.20           N
ATOM    311  CA  CYS A  26      70.000   6.926   8.639  1.00  2.20           C
HETATM  312  PA  ATP A  26      80.000   6.926   8.639  1.00  2.20           P
END
"""


def as_cif(text):
    """Atoms of a PDB file as mmCIF has them."""
    lines = ["data_test", "loop_", *(f"_atom_site.{c}" for c in " ".join(COLUMNS).split())]
    for line in filter(structures._is_atom, text.splitlines()):
        group, serial, name, alternate = line[:6], line[6:11], line[12:16], line[16].strip() or "."
        place = f"{line[30:54]} {line[54:60]} {line[60:66]} {line[22:26]} {line[21]} 1"
        lines.append(
            f"{group} {serial} {line[77]} {name} {alternate} {line[17:20]} {line[21]} "
            f"{line[22:26]} ? {place}"
        )
    return "\n".join([*lines, "#", ""])


@pytest.mark.parametrize("write", [str, as_cif])
def test_alternate_locations_are_one_residue_and_the_fullest_is_taken(write):
    structure = read(write(CRAMBIN))
    chain = structure.chains["A"]
    assert chain.sequence == "EPIC"
    assert [each.name for each in chain.residues] == ["23", "24", "25", "26"]
    atoms = drawn(structure)
    assert [atom[1:] for atom in atoms if atom[3] == "CA"] == [
        (23, "GLU", "CA", 20.0),
        (24, "PRO", "CA", 30.0),
        (25, "ILE", "CA", 60.0),
        (26, "CYS", "CA", 70.0),
    ]
    assert {atom[2] for atom in atoms} == {"GLU", "PRO", "ILE", "CYS", "ATP"}
    # In the order of the file: the viewer looks for a residue's O behind its CA.
    assert [atom[3] for atom in atoms[:4]] == list(BACKBONE)
    assert len({atom[:2] for atom in atoms}) == len({atom[:3] for atom in atoms}) == 5


@pytest.mark.parametrize("write", [str, as_cif])
def test_of_alternate_locations_as_full_the_first_is_taken(write):
    text = CRAMBIN.replace(" 0.60 ", " 0.50 ").replace(" 0.40 ", " 0.50 ")
    assert read(write(text)).chains["A"].sequence == "EPIC"


def without(text, *names):
    """A mmCIF file without some columns of its atoms."""
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("_atom_site.")]
    gone = {i for i, line in enumerate(head) if line.removeprefix("_atom_site.") in names}
    assert len(gone) == len(names)
    kept = []
    for line in lines:
        if line in head:
            if head.index(line) in gone:
                continue
        elif len(cells := line.split()) == len(head):
            line = " ".join(cell for i, cell in enumerate(cells) if i not in gone)
        kept.append(line)
    return "\n".join(kept) + "\n"


OPTIONAL = (
    *("group_PDB", "label_alt_id", "pdbx_PDB_ins_code", "occupancy", "B_iso_or_equiv"),
    *("auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num", "type_symbol"),
)


@pytest.mark.parametrize("names", [*((name,) for name in OPTIONAL), OPTIONAL, ("label_seq_id",)])
def test_mmcif_may_leave_out_what_the_format_does_not_require(names):
    whole = cif(rows("A", PROTEIN))
    assert read(without(whole, *names)) == read(whole)


def test_mmcif_may_say_that_it_does_not_know():
    whole = cif(rows("A", "MKG"))
    unknown = whole.replace(" 1.0 0.0 ", " ? . ")
    assert unknown != whole
    assert read(unknown) == read(whole)


def test_what_force_fields_call_residues():
    names = "CYX CYM HIE HID HIP HSD HSE HSP LYN ASH GLH MSE SEC NALA CHIE hisd"
    letters = "CCHHHHHHKDEMUAHH"
    residues = [
        ("ATOM", name, "A", number, "", BACKBONE) for number, name in enumerate(names.split(), 1)
    ]
    assert read(cif(residues)).chains["A"].sequence == letters
    # In PDB a fourth letter takes the column that is empty otherwise.
    text = pdb(residues)
    for name in ("NALA", "CHIE", "hisd"):
        text = text.replace(f" {name} A", f" {name}A")
    assert read(text).chains["A"].sequence == letters


def test_a_pdb_file_may_leave_chain_and_occupancy_blank():
    text = pdb(rows("A", "MKG")).replace(" A ", "   ").replace("  1.00  0.00", " " * 12)
    structure = read(text)
    assert structure.chains["?"].sequence == "MKG"
    assert {atom[0] for atom in drawn(structure)} == {"?"}


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
    return [None if residue is None else int(residue.name) for residue in found.residues]


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
        assert [each.name for each in found.residues[:6]] == ["1", "2", "3", "3A", "3B", "4"]
        assert (found.identity, found.covered) == (1, 1)


def test_tags_and_mutations():
    mutant = PROTEIN[:9] + "L" + PROTEIN[10:]
    found = match(read(pdb(rows("A", "GSHH" + mutant, range(-3, 21)))), PROTEIN)
    assert numbers_of(found) == list(range(1, 21))
    assert found.identity == pytest.approx(0.95)


@pytest.mark.parametrize("write", [pdb, cif])
def test_an_unknown_residue_is_no_other_residue(write):
    residues = rows("A", PROTEIN)
    for i in (2, 9, 12):
        residues[i] = ("HETATM", "UNK", *residues[i][2:])
    found = match(read(write(residues)), PROTEIN)
    assert numbers_of(found) == list(range(1, 21))
    assert (found.identity, found.covered) == (1, 17 / 20)


def test_unknown_residues_alone_are_no_protein(sentence):
    residues = [("ATOM", "UNK", *each[2:]) for each in rows("A", PROTEIN)]
    residues[:4] = rows("A", PROTEIN[:4])
    sentence(match, read(pdb(residues)), PROTEIN, says="over 20% of the sequence")


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
    residues = tuple(Residue(i * 9_999, "") for i in range(5_000))
    hostile = Structure("", {"A": structures.Chain("AG" * 2_500, residues)})
    assert match(hostile, "AG" * 100).identity == 1


@pytest.mark.parametrize("chain", ["'", '"', "#", "_", "$", ";", "["])
def test_chains_named_by_marks_of_the_format_are_still_words(chain):
    """Unquoted, they would end the viewer's reading of the whole structure."""
    found = read_structure("a.pdb", pdb(rows(chain, "MKGS")).encode())
    ((name, read),) = found.chains.items()
    assert read.sequence == "MKGS"
    assert name.isalnum()
    assert set(MMCIF2Dict(io.StringIO(found.text))["_atom_site.auth_asym_id"]) == {name}


@pytest.mark.parametrize("value", ["     nan", "     inf", "    1e30", "-9999999"])
def test_atoms_without_a_place_in_space_are_refused(sentence, value):
    text = pdb(rows("A", "MKGS"))
    first = text.split("\n")[1]
    sentence(
        read_structure,
        "a.pdb",
        text.replace(first[30:38], value, 1).encode(),
        says="place in space",
    )
