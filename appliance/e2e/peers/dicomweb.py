"""A researcher with Python: lists studies on the hub and fetches an instance, with dicomweb-client.

usage: dicomweb.py URL ROOTS_PEM USER PASSWORD; prints one JSON object, exits non-zero when an answer is not as it should be.
"""

import json
import sys

import pydicom
from dicomweb_client.api import DICOMwebClient
from requests import Session
from requests.exceptions import HTTPError

url, roots, user, password = sys.argv[1:5]


def client(user, password):
    session = Session()
    # The environment may name other roots; only the hub's own count here.
    session.trust_env = False
    session.verify = roots
    session.auth = (user, password)
    return DICOMwebClient(url, session=session)


hub = client(user, password)
studies = hub.search_for_studies()
assert studies, "no studies"
study = studies[0]["0020000D"]["Value"][0]
one = hub.search_for_studies(search_filters={"StudyInstanceUID": study})
assert len(one) == 1, one
series = hub.search_for_series(study)
assert series, "no series"
series_uid = series[0]["0020000E"]["Value"][0]
instances = hub.search_for_instances(study, series_uid)
assert instances, "no instances"
instance = instances[0]["00080018"]["Value"][0]
dataset = hub.retrieve_instance(study, series_uid, instance)
assert isinstance(dataset, pydicom.Dataset)
assert dataset.SOPInstanceUID == instance
assert dataset.PatientIdentityRemoved == "YES"
metadata = hub.retrieve_instance_metadata(study, series_uid, instance)
assert metadata["00080018"]["Value"][0] == instance
whole = hub.retrieve_study(study)
assert instance in {d.SOPInstanceUID for d in whole}
assert hub.search_for_studies(search_filters={"StudyInstanceUID": "2.25.1"}) == []

try:
    client(user, "not the password").search_for_studies()
except HTTPError as error:
    assert error.response.status_code == 401, error
else:
    raise AssertionError("a wrong password was let in")

print(json.dumps({"studies": len(studies), "instances_in_study": len(whole), "patient_id": dataset.PatientID}))
