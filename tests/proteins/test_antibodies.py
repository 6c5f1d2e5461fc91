"""Regions of antibodies: IMGT's of known ones, and what every domain has around its own."""

import re

import pytest

from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins import germlines
from neuronlab.proteins.antibodies import REGIONS, determining, regions
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
