"""Lists and fetches what the hub holds, as a researcher's script does, with dicomweb-client and pydicom.

Usage: researcher.py URL CA NAME PASSWORD DIRECTORY. DIRECTORY holds the objects as they were uploaded, <SOP Instance UID>.dcm.
"""

import pathlib
import sys

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass

url, ca, name, password, directory = sys.argv[1:]
session = create_session_from_user_pass(name, password)
session.verify = ca
client = DICOMwebClient(url=url, session=session)
sent = {p.stem: p for p in pathlib.Path(directory).glob("*.dcm")}

studies = client.search_for_studies()
assert len(studies) == 3, len(studies)
assert {s["00100020"]["Value"][0] for s in studies} == {"FETAL-00001"}
assert len(client.search_for_studies(limit=2)) == 2
assert len(client.search_for_studies(limit=2, offset=2)) == 1
assert client.search_for_studies(offset=10) == []
assert len(client.search_for_studies(search_filters={"PatientID": "FETAL*"})) == 3
assert client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []
assert len(client.search_for_studies(search_filters={"StudyDate": "20240101-20241231"}, fields=["all"])) == 3

fetched = set()
for study in studies:
    study = pydicom.Dataset.from_json(study)
    series = client.search_for_series(study.StudyInstanceUID)
    assert len(series) == 1 and series[0]["00080060"]["Value"] == ["CT"], series
    series_uid = series[0]["0020000E"]["Value"][0]
    instances = client.search_for_instances(study.StudyInstanceUID, series_uid)
    assert len(instances) == study.NumberOfStudyRelatedInstances
    for instance in instances:
        uid = instance["00080018"]["Value"][0]
        got = client.retrieve_instance(study.StudyInstanceUID, series_uid, uid)
        want = pydicom.dcmread(sent[uid])
        assert got == want, uid
        assert got.file_meta.TransferSyntaxUID == want.file_meta.TransferSyntaxUID
        fetched.add(uid)
        metadata = client.retrieve_instance_metadata(study.StudyInstanceUID, series_uid, uid)
        model = pydicom.Dataset.from_json(
            metadata, bulk_data_uri_handler=lambda tag, vr, uri: bytes(client.retrieve_bulkdata(uri)[0])
        )
        assert model.PatientID == "FETAL-00001"
        assert model.Rows == want.Rows and model.StudyDescription == want.StudyDescription
        assert model.PixelData == want.PixelData, "bulk data"
    assert len(client.retrieve_series(study.StudyInstanceUID, series_uid)) == len(instances)
    assert len(client.retrieve_study(study.StudyInstanceUID)) == len(instances)
    assert len(client.retrieve_study_metadata(study.StudyInstanceUID)) == len(instances)
    assert len(client.retrieve_series_metadata(study.StudyInstanceUID, series_uid)) == len(instances)

assert fetched == set(sent), (fetched, set(sent))
assert len(client.search_for_instances()) == len(sent)
assert len(client.search_for_series()) == 3

try:
    client.retrieve_study("1.2.3")
    raise AssertionError("an unknown study was found")
except requests.exceptions.HTTPError as error:
    assert error.response.status_code == 404

print(f"{len(fetched)} instances fetched and equal")
