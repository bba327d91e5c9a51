"""A scanner that is pynetdicom: C-ECHO, then C-STORE of every file given, over one association.

usage: store.py PORT CALLED_AE CALLING_AE FILE…; prints one JSON list of [file, status], exits non-zero when there was no
association.
"""

import json
import sys

import pydicom
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification

port, called, calling, files = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
datasets = [(name, pydicom.dcmread(name)) for name in files]
ae = AE(ae_title=calling)
contexts = {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for _, d in datasets}
ae.requested_contexts = [build_context(Verification)] + [build_context(c, t) for c, t in sorted(contexts)]
association = ae.associate("127.0.0.1", port, ae_title=called)
if not association.is_established:
    sys.exit("no association")
assert association.send_c_echo().Status == 0
answers = []
for name, dataset in datasets:
    status = association.send_c_store(dataset)
    answers.append([name, status.Status if "Status" in status else None])
association.release()
print(json.dumps(answers))
