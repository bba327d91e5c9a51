"""pynetdicom against the receiver: echo, two stores (128 contexts, role selection, user identity), refusals.

Arguments: port, called AE title, a CT file. Exits non-zero when an answer is not the expected one.
"""

import sys

from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom import AE, build_role, build_context, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, Verification

port, called, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dataset = dcmread(path)


def expect(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r}, expected {expected!r}")


ae = AE(ae_title="PYNETDICOM")
ae.add_requested_context(Verification)
association = ae.associate("127.0.0.1", port, ae_title=called)
expect("association", association.is_established, True)
expect("echo", association.send_c_echo().Status, 0x0000)
association.release()
expect("release", association.is_released, True)

identity = UserIdentityNegotiation()
identity.user_identity_type = 2
identity.positive_response_requested = True
identity.primary_field = b"user"
identity.secondary_field = b"password"
# 128 contexts in all: CT, MR and whatever comes first of the other storage classes.
wanted = {CTImageStorage, MRImageStorage}
others = [context for context in AllStoragePresentationContexts if context.abstract_syntax not in wanted]
contexts = [build_context(CTImageStorage, "1.2.840.10008.1.2.1"), build_context(MRImageStorage, "1.2.840.10008.1.2.1")]
contexts += others[:126]
ae = AE(ae_title="PYNETDICOM")
ae.maximum_pdu_size = 0
negotiation = [build_role(CTImageStorage, scu_role=True, scp_role=True), identity]
association = ae.associate("127.0.0.1", port, contexts, ae_title=called, ext_neg=negotiation)
expect("association", association.is_established, True)
expect("contexts", len(association.accepted_contexts), 128)
for _ in range(2):
    expect("store", association.send_c_store(dataset).Status, 0x0000)

# The command names MR, the data set is CT: pynetdicom derives the command from the data set, so change it on its way out.
mr = dcmread(path)
mr.SOPClassUID = UID(MRImageStorage)
mr.file_meta.MediaStorageSOPClassUID = UID(MRImageStorage)
from pynetdicom import dsutils  # noqa: E402
import pynetdicom.association as module  # noqa: E402

encoded = dsutils.encode(dataset, False, True)
original = module.encode
module.encode = lambda *arguments, **keywords: encoded
expect("contradiction", association.send_c_store(mr).Status, 0xA900)
module.encode = lambda *arguments, **keywords: b"these bytes are no data set at all"
expect("no data set", association.send_c_store(dataset).Status, 0xC000)
module.encode = original
association.release()

ae = AE(ae_title="PYNETDICOM")
ae.add_requested_context(Verification)
# By the PDU and not by `is_rejected`: an answer that comes before pynetdicom's own thread has run looks to it like no connection.
answers = []
ae.associate("127.0.0.1", port, ae_title="WRONG", evt_handlers=[(evt.EVT_PDU_RECV, lambda event: answers.append(event.pdu))])
expect("answers to a wrong called AE title", [type(answer) for answer in answers], [A_ASSOCIATE_RJ])
rejection = answers[0]
# PS3.8 table 9-21: permanent, by the service user, called AE title not recognised would be 7; this receiver tells no one which.
expect("its reason", (rejection.result, rejection.source, rejection.reason_diagnostic), (1, 1, 1))
print("all as expected")
