"""The sample sheet of the whole Bedmap, made from its archive's addresses.

In go the addresses of the Bedmap3 files, as any text that holds them (the archive's list, or the
sheet itself); out comes `config/surveys.tsv`, all 151 surveys of the three releases with what
their file names say:

    python -m bedsieve.ingest.official addresses.txt > surveys.tsv

The archive addresses a file by its release and its name alone, so the addresses of Bedmap1 and
Bedmap2 follow from their names (Frémand et al. 2023, doi:10.5194/essd-15-2695-2023).
"""

from __future__ import annotations

import base64
import csv
import io
import re
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from bedsieve.errors import BedsieveError, InputError
from bedsieve.ingest.sheet import SURVEY_COLUMNS, Survey

ARCHIVE = "https://ramadda.data.bas.ac.uk/repository/entry/get/"
DOIS = {
    "BM1": "10.5285/f64815ec-4077-4432-9f55-0ce230f46029",
    "BM2": "10.5285/2fd95199-365e-4da1-ae26-3b6d48b3e6ac",
    "BM3": "10.5285/91523ff9-d621-46b3-87f7-ffb6efcd1847",
}
BEDMAP1 = "BEDMAP1_1966-2000_AIR_BM1"
# By institution: year and project of each Bedmap2 file, GRN where the radar was on the ground.
BEDMAP2 = {
    "AWI": "1994_DML1 1995_DML2 1996_DML3 1997_DML4 1998_DML5 2000_DML6 2001_DML7 2002_DML8 "
    "2003_DML9 2004_DML10 2005_ANTSYSO 2007_ANTR",
    "BAS": "1994_Evans 1998_Dufek 2001_Bailey-Slessor 2001_MAMOG 2002_TORUS 2004_BBAS "
    "2005_WISE-ISODYN 2006_GRADES-IMAGE 2007_AGAP 2007_TIGRIS_GRN 2009_FERRIGNO_GRN 2010_IMAFI "
    "2010_PIG",
    "BGR": "1999_GANOVEX-VIII-Matusevich 1999_GANOVEX-VIII-Mertz 2002_PCMEGA",
    "INGV": "1997_ITASE",
    "LDEO": "2007_AGAP-GAMBIT 2007_Recovery-Lakes",
    "NASA": "2002_ICEBRIDGE 2004_ICEBRIDGE 2009_ICEBRIDGE 2010_ICEBRIDGE 2011_ICEBRIDGE "
    "2012_ICEBRIDGE",
    "NIPR": "1999_JARE40_GRN 2007_JARE49_GRN 2007_JASE_GRN",
    "NPI": "2008_BELISSIMA_GRN 2010_SRM",
    "PRIC": "2004_CHINARE-21_GRN 2007_CHINARE-24_GRN",
    "RNRF": "2003_48RAEap5 2004_49RAEap5 2005_50RAEap5 2006_51RAEap5 2006_KV1-area 2007_52RAEap5 "
    "2007_Mirny-Vostok 2008_53RAEap5 2008_Vostok-Subglacial-Lake 2013_Vostok-Progress",
    "STOLAF": "1994_Siple-Dome_GRN 2001_ITASE-Byrd-Ellsworth_GRN 2001_ITASE-Ellsworth_GRN "
    "2002_ITASE-Byrd-South-Pole_GRN 2002_ITASE-Hercules-Dome_GRN",
    "UCANTERBURY": "2008_Darwin-Hatherton_GRN",
    "UTIG": "1991_CASERTZ 1998_West-Marie-Byrd-Land 1999_SOAR-LVS-WLK 2000_Robb-Glacier "
    "2004_AGASEA 2008_ICECAP",
}
# Bedmap2 files whose data Bedmap3 holds again, the later picks or the fuller file being there.
SUPERSEDED = {
    *("BAS_2010_IMAFI_AIR_BM2", "INGV_1997_ITASE_AIR_BM2", "NIPR_1999_JARE40_GRN_BM2"),
    *("NIPR_2007_JARE49_GRN_BM2", "NIPR_2007_JASE_GRN_BM2", "RNRF_2003_48RAEap5_AIR_BM2"),
    *("RNRF_2004_49RAEap5_AIR_BM2", "RNRF_2005_50RAEap5_AIR_BM2", "RNRF_2006_51RAEap5_AIR_BM2"),
    *("RNRF_2006_KV1-area_AIR_BM2", "RNRF_2007_52RAEap5_AIR_BM2"),
    *("RNRF_2007_Mirny-Vostok_AIR_BM2", "RNRF_2008_53RAEap5_AIR_BM2", "UTIG_2008_ICECAP_AIR_BM2"),
}
# Files whose rows stand in no order along the lines; study B strung these eight.
UNORDERED = {
    *(BEDMAP1, "BGR_1999_GANOVEX-VIII-Matusevich_AIR_BM2", "BGR_1999_GANOVEX-VIII-Mertz_AIR_BM2"),
    *("RNRF_2008_Vostok-Subglacial-Lake_AIR_BM2", "CRESIS_2009_Thwaites_AIR_BM3"),
    *("NIPR_2007_JARE49_GRN_BM3", "NIPR_2017_JARE59_GRN_BM3", "NIPR_2018_JARE60_GRN_BM3"),
}

_NAME = re.compile(
    r"(?P<institution>[A-Z0-9]+)_(?P<start>\d{4})(-(?P<end>\d{4}))?(_\S+)?"
    r"_(?P<platform>AIR|GRN|SEI)_(?P<release>BM[123])"
)
_LISTED = re.compile(re.escape(ARCHIVE) + r"([^/?\s]+_BM3)\.csv\?entryid=\S+")


def official_sheet(addresses: str, source: str | Path = "addresses") -> list[Survey]:
    """All surveys of Bedmap1, 2 and 3.

    Parameters
    ----------
    addresses : str
        Text that holds the addresses of the Bedmap3 files.
    source : path-like
        Where it is from, for messages.

    Returns
    -------
    list of Survey
        Numbered from 1: Bedmap1, then Bedmap2, then Bedmap3 by name.

    Raises
    ------
    InputError
        If the text holds none, or one that is not as the archive addresses that file.
    """
    listed = {match[1]: match[0] for match in _LISTED.finditer(addresses)}
    if not listed:
        raise InputError(source, "holds no Bedmap3 address", f"Give addresses under {ARCHIVE}")
    for name, url in listed.items():
        if url != address(name):
            remedy = "Correct it, or the rule that composes addresses"
            raise InputError(source, f"{name} has the unexpected address {url}", remedy)
    names = [BEDMAP1, *sorted(bedmap2_names()), *sorted(listed)]
    return [_survey(number, name) for number, name in enumerate(names, start=1)]


def bedmap2_names() -> list[str]:
    """Names of the 66 Bedmap2 files, without their ending."""
    names = []
    for institution, projects in BEDMAP2.items():
        for project in projects.split():
            stem = project if project.endswith("_GRN") else f"{project}_AIR"
            names.append(f"{institution}_{stem}_BM2")
    return names


def address(name: str) -> str:
    """Where the archive keeps the CSV of a survey: the release's id, and the file's name encoded."""
    release_id = DOIS[name[-3:]].removeprefix("10.5285/")
    member = base64.b64encode(f"/{name}.csv".encode()).decode()
    entry = quote(f"synth:{release_id}:{member}", safe="")
    return f"{ARCHIVE}{name}.csv?entryid={entry}"


def _survey(number: int, name: str) -> Survey:
    match = _NAME.fullmatch(name)
    if match is None:
        raise BedsieveError(f"{name}: not a Bedmap file name (INSTITUTION_YEAR_project_AIR_BM2).")
    superseded = name in SUPERSEDED
    note = f"https://doi.org/{DOIS[match['release']]}"
    return Survey(
        survey_no=number,
        survey=name,
        release=match["release"],
        url=address(name),
        platform=match["platform"],
        institution=match["institution"],
        year_start=int(match["start"]),
        year_end=int(match["end"]) if match["end"] else None,
        order="chain" if name in UNORDERED else "file",
        status="superseded" if superseded else "active",
        note=f"{note} (released again in Bedmap3)" if superseded else note,
    )


def as_table(surveys: list[Survey]) -> str:
    """The sample sheet as text."""
    out = io.StringIO()
    table = csv.writer(out, delimiter="\t", lineterminator="\n")
    table.writerow(SURVEY_COLUMNS)
    for survey in surveys:
        table.writerow("" if cell is None else cell for cell in asdict(survey).values())
    return out.getvalue()


def main(arguments: list[str]) -> None:
    """Write the sheet for the addresses in the file that is named."""
    if len(arguments) != 1:
        sys.exit("usage: python -m bedsieve.ingest.official ADDRESSES > config/surveys.tsv")
    path = Path(arguments[0])
    sys.stdout.write(as_table(official_sheet(path.read_text(encoding="utf-8"), path)))


if __name__ == "__main__":
    main(sys.argv[1:])
