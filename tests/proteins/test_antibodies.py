"""Regions of antibodies: IMGT's of known ones, and what every domain has around its own."""

import ast
import re

import pytest

from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.models.wheels import download
from neuronlab.progress import unheard
from neuronlab.proteins import germlines
from neuronlab.proteins.antibodies import (
    REGIONS,
    determining,
    imgt_numbers,
    regions,
    variable_domain,
)
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL

# Approved antibodies, with IMGT's regions. Light chains: kappa, but for the last.
KNOWN = {
    "trastuzumab heavy": (TRASTUZUMAB_VH, ("GFNIKDTY", "IYPTNGYT", "SRWGGDGFYAMDY")),
    "trastuzumab light": (TRASTUZUMAB_VL, ("QDVNTA", "SAS", "QQHYTTPPT")),
    "adalimumab heavy": (
        "EVQLVESGGGLVQPGRSLRLSCAASGFTFDDYAMHWVRQAPGKGLEWVSAITWNSGHIDYADSVEGRFTISRDNAKNSLYLQMNSLRAED"
        "TAVYYCAKVSYLSTASSLDYWGQGTLVTVSS",
        ("GFTFDDYA", "ITWNSGHI", "AKVSYLSTASSLDY"),
    ),
    "adalimumab light": (
        "DIQMTQSPSSLSASVGDRVTITCRASQGIRNYLAWYQQKPGKAPKLLIYAASTLQSGVPSRFSGSGSGTDFTLTISSLQPEDVATYYCQR"
        "YNRAPYTFGQGTKVEIK",
        ("QGIRNY", "AAS", "QRYNRAPYT"),
    ),
    "rituximab heavy": (
        "QVQLQQPGAELVKPGASVKMSCKASGYTFTSYNMHWVKQTPGRGLEWIGAIYPGNGDTSYNQKFKGKATLTADKSSSTAYMQLSSLTSED"
        "SAVYYCARSTYYGGDWYFNVWGAGTTVTVSA",
        ("GYTFTSYN", "IYPGNGDT", "ARSTYYGGDWYFNV"),
    ),
    "rituximab light": (
        "QIVLSQSPAILSASPGEKVTMTCRASSSVSYIHWFQQKPGSSPKPWIYATSNLASGVPVRFSGSGSGTSYSLTISRVEAEDAATYYCQQW"
        "TSNPPTFGGGTKLEIK",
        ("SSVSY", "ATS", "QQWTSNPPT"),
    ),
    "bevacizumab heavy": (
        "EVQLVESGGGLVQPGGSLRLSCAASGYTFTNYGMNWVRQAPGKGLEWVGWINTYTGEPTYAADFKRRFTFSLDTSKSTAYLQMNSLRAED"
        "TAVYYCAKYPHYYGSSHWYFDVWGQGTLVTVSS",
        ("GYTFTNYG", "INTYTGEP", "AKYPHYYGSSHWYFDV"),
    ),
    "pembrolizumab heavy": (
        "QVQLVQSGVEVKKPGASVKVSCKASGYTFTNYYMYWVRQAPGQGLEWMGGINPSNGGTNFNEKFKNRVTLTTDSSTTTAYMELKSLQFDD"
        "TAVYYCARRDYRFDMGFDYWGQGTTVTVSS",
        ("GYTFTNYY", "INPSNGGT", "ARRDYRFDMGFDY"),
    ),
    "pembrolizumab light": (
        "EIVLTQSPATLSLSPGERATLSCRASKGVSTSGYSYLHWYQQKPGQAPRLLIYLASYLESGVPARFSGSGSGTDFTLTISSLEPEDFAVY"
        "YCQHSRDLPLTFGGGTKVEIK",
        ("KGVSTSGYSY", "LAS", "QHSRDLPLT"),
    ),
    "nivolumab heavy": (
        "QVQLVESGGGVVQPGRSLRLDCKASGITFSNSGMHWVRQAPGKGLEWVAVIWYDGSKRYYADSVKGRFTISRDNSKNTLFLQMNSLRAED"
        "TAVYYCATNDDYWGQGTLVTVSS",
        ("GITFSNSG", "IWYDGSKR", "ATNDDY"),
    ),
    "nivolumab light": (
        "EIVLTQSPATLSLSPGERATLSCRASQSVSSYLAWYQQKPGQAPRLLIYDASNRATGIPARFSGSGSGTDFTLTISSLEPEDFAVYYCQQ"
        "SSNWPRTFGQGTKVEIK",
        ("QSVSSY", "DAS", "QQSSNWPRT"),
    ),
    "cetuximab heavy": (
        "QVQLKQSGPGLVQPSQSLSITCTVSGFSLTNYGVHWVRQSPGKGLEWLGVIWSGGNTDYNTPFTSRLSINKDNSKSQVFFKMNSLQSNDT"
        "AIYYCARALTYYDYEFAYWGQGTLVTVSA",
        ("GFSLTNYG", "IWSGGNT", "ARALTYYDYEFAY"),
    ),
    "cetuximab light": (
        "DILLTQSPVILSVSPGERVSFSCRASQSIGTNIHWYQQRTNGSPRLLIKYASESISGIPSRFSGSGSGTDFTLSINSVESEDIADYYCQQ"
        "NNNWPTTFGAGTKLELK",
        ("QSIGTN", "YAS", "QQNNNWPTT"),
    ),
    "caplacizumab": (
        "EVQLVESGGGLVQPGGSLRLSCAASGRTFSYNPMGWFRQAPGKGRELVAAISRTGGSTYYPDSVEGRFTISRDNAKRMVYLQMNSLRAED"
        "TAVYYCAAAGVRAEDGRVRTLPSEYTFWGQGTQVTVSS",
        ("GRTFSYNP", "ISRTGGST", "AAAGVRAEDGRVRTLPSEYTF"),
    ),
    "IGLV1-44 with IGLJ3": (
        "QSVLTQPPSASGTPGQRVTISCSGSSSNIGSNTVNWYQQLPGTAPKLLIYSNNQRPSGVPDRFSGSKSGTSASLAISGLQSEDEADYYCA"
        "AWDDSLNGWVFGGGTKLTVL",
        ("SSNIGSNT", "SNN", "AAWDDSLNGWV"),
    ),
}


def words(sequence):
    return tuple(sequence[each.start : each.stop] for each in regions(sequence))


@pytest.mark.parametrize("name", KNOWN)
def test_imgts_regions_of_known_antibodies(name):
    sequence, expected = KNOWN[name]
    assert words(sequence) == expected
    places = determining(sequence)
    assert "".join(sequence[i] for i in places) == "".join(expected)
    assert list(places) == sorted(set(places))


def test_the_references_are_trastuzumabs():
    for sequence, known in REGIONS.values():
        assert words(sequence) == known
    assert len(determining(TRASTUZUMAB_VH)) == 29
    assert TRASTUZUMAB_VH[25:33] == "GFNIKDTY"


@pytest.mark.parametrize("name", KNOWN)
def test_loops_of_another_length_and_content(name):
    """Frameworks decide: whatever stands between them is the region."""
    sequence, expected = KNOWN[name]
    for loop, other in ((2, "ARGYSGSYDSWGFDI"), (2, expected[2][:3] + expected[2][-2:])):
        changed = sequence.replace(expected[loop], other)
        if len(changed) in range(90, 146):
            assert words(changed)[:2] == expected[:2]
            assert words(changed)[2] == other


def test_ends_may_lack():
    assert words(TRASTUZUMAB_VH[4:-5]) == KNOWN["trastuzumab heavy"][1]
    assert words("GS" + TRASTUZUMAB_VL + "RT") == KNOWN["trastuzumab light"][1]


@pytest.mark.parametrize(
    "sequence",
    [
        "MKTAYIAKQR",
        "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",
        AMINO_ACIDS * 6,
        "A" * 120,
        TRASTUZUMAB_VH + TRASTUZUMAB_VL,
        TRASTUZUMAB_VH[:60],
        "",
    ],
)
def test_what_is_no_single_domain_is_refused(sequence, sentence):
    sentence(regions, sequence, says="variable domain")
    sentence(determining, sequence, says="choose the free residues yourself")


# IMGT: cysteines at 23 and 104, tryptophan at 41; region 1 at 27 to 38, region 2 at 56 to 65,
# region 3 from 105. None of 24 to 26 and of 39 to 55 is ever empty.
IN_PLACE = re.compile(r".{18,24}?C.{3}.{4,13}.W.{14}.{2,12}.{34,40}[YFH]C.*")
JOINS = {"heavy": "WGQGTLVTVSS", "kappa": "FGQGTKVEIK", "lambda": "FGGGTKLTVL"}


@pytest.mark.skipif(not germlines.file().is_file(), reason="the germline genes are not here")
def test_germline_genes_keep_their_frameworks():
    """V genes of nine species, joined to a J: nearly all have their regions where IMGT has them."""
    genes = [g for g in germlines.read() if g.gene == "V" and IN_PLACE.fullmatch(g.sequence)]
    assert len(genes) > 1000
    wrong, tried = [], genes[::5]
    for gene in tried:
        sequence = f"{gene.sequence}YYDY{JOINS[gene.chain]}"
        one, two, three = regions(sequence)
        fits = (
            sequence[one.start - 4] == "C"
            and sequence[one.stop + 2] == "W"
            and two.start - one.stop == 17
            and sequence[three.start - 1] == "C"
            and sequence[three.start - 2] in "YFH"
            and three.stop == len(gene.sequence) + 4
        )
        if not fits:
            wrong.append((gene.allele, gene.species, sequence, words(sequence)))
    assert len(wrong) <= 0.01 * len(tried), (len(wrong), len(tried), wrong[:25])


def numbers(name):
    """IMGT's number of each letter of a known domain, as (number, letter)."""
    sequence = KNOWN[name][0] if name in KNOWN else name
    return list(zip(imgt_numbers(sequence), sequence, strict=True))


@pytest.mark.parametrize("name", KNOWN)
def test_what_every_domain_has_stands_at_imgts_positions(name):
    at = dict(numbers(name))
    assert len(at) == len(KNOWN[name][0])
    assert (at["23"], at["41"], at["104"]) == ("C", "W", "C")
    assert at["118"] in "WF"
    assert (at["119"], at["121"]) == ("G", "G")
    assert "73" not in at
    assert ("10" in at) == ("light" in name)  # of these light chains all but IGLV1-44 are kappa
    for first, last, loop in zip((27, 56, 105), (38, 65, 117), KNOWN[name][1], strict=True):
        inside = [letter for number, letter in at.items() if first <= int(float(number)) <= last]
        assert "".join(inside) == loop


@pytest.mark.parametrize(
    ("name", "first", "expected"),
    [
        ("trastuzumab heavy", 27, "27 28 29 30 35 36 37 38"),
        ("rituximab light", 27, "27 28 29 37 38"),
        ("pembrolizumab light", 27, "27 28 29 30 31 34 35 36 37 38"),
        ("trastuzumab light", 56, "56 57 65"),
        ("cetuximab heavy", 56, "56 57 58 59 63 64 65"),
        ("trastuzumab light", 105, "105 106 107 108 109 114 115 116 117"),
        ("trastuzumab heavy", 105, "105 106 107 108 109 110 111 112 113 114 115 116 117"),
        ("adalimumab heavy", 105, "105 106 107 108 109 110 111 112.1 112 113 114 115 116 117"),
        (
            "bevacizumab heavy",
            105,
            "105 106 107 108 109 110 111 111.1 112.2 112.1 112 113 114 115 116 117",
        ),
    ],
)
def test_gaps_and_insertions_are_in_the_middle_of_a_loop(name, first, expected):
    last = {27: 38, 56: 65, 105: 117}[first]
    given = [number for number, _ in numbers(name) if first <= int(float(number)) <= last]
    assert given == expected.split()


def test_ends_that_are_more_or_less_count_on():
    assert numbers("GS" + TRASTUZUMAB_VH + "AS")[:3] == [("-1", "G"), ("0", "S"), ("1", "E")]
    assert numbers("GS" + TRASTUZUMAB_VH + "AS")[-3:] == [("128", "S"), ("129", "A"), ("130", "S")]
    assert numbers(TRASTUZUMAB_VH[4:])[0] == ("5", "V")


@pytest.mark.slow
def test_numbers_of_germline_genes_are_imgts(tmp_path):
    """Every V gene with a J gene behind it, against the package's table of IMGT's positions."""
    download((germlines.WHEEL,), (germlines.MEMBER,), tmp_path, title="genes", report=unheard)
    (assignment,) = ast.parse((tmp_path / germlines.MEMBER).read_text("utf-8")).body
    genes = ast.literal_eval(assignment.value)
    right = total = 0
    for letter in "HKL":
        behind = {"H": "WGQGTLVTVSS", "K": "FGQGTKVEIK", "L": "FGGGTKLTVL"}[letter]
        for alleles in genes["V"][letter].values():
            for gapped in alleles.values():
                whole = gapped[:104]
                # Those of the rhesus monkey stand elsewhere in the table.
                if (whole[22], whole[40], whole[103]) != ("C", "W", "C") or "-" in whole[:2]:
                    continue
                if not variable_domain(gapped.replace("-", "") + behind):
                    continue
                known = [str(i) for i, x in enumerate(whole, start=1) if x != "-"]
                given = imgt_numbers(gapped.replace("-", "") + behind)[: len(known)]
                total += 1
                right += given == known
    assert total > 1_000
    assert right / total > 0.95  # the others lack a position that most of their kind have
