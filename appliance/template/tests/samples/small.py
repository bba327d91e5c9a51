"""A device catalogue in the language of dicom-dre, written for this test."""

from dicom_dre.catalog import DeviceRule, deny_when, device, variant

_US = "1.2.840.10008.5.1.4.1.1.6"

_devices: list[DeviceRule] = [
    device(
        "Exactly one",
        "allow",
        manufacturer="=GE Healthcare",
        modality="US",
        sop_class_uid=[f"^{_US}"],
        manufacturer_model_name="/(?i)^v830$/",
        variants=[
            variant(rows=48, cols=64, scrub=[(0, 0, 10000, 6), (10, 8, 20, 4)]),
            *more_variants,
        ],
    ),
    device(
        "Two sizes of a family",
        "allow",
        manufacturer="^Philips",
        manufacturer_model_name=["=EPIQ 7C", "=EPIQ 7G"],
        variants=[variant(rows=r, cols=c, scrub=[(0, 0, 64, 5)]) for r, c in [(48, 64), (24, 64)]],
    ),
    device("Clear", "allow", manufacturer="=SIEMENS", manufacturer_model_name="=S2000", rows=48, cols=64),
    device(
        "Not derived",
        "allow",
        manufacturer="=SIEMENS",
        manufacturer_model_name="=S3000",
        image_type_exclude="DERIVED",
        rows=48,
        cols=64,
        scrub=[(0, 0, 64, 4)],
    ),
    device("Overlay of a make", "scrub", manufacturer="=ATL", rows=48, cols=64, scrub=[(0, 40, 64, 8)]),
    device("The make", "allow", manufacturer="=ATL", manufacturer_model_name="=HDI 5000", rows=48, cols=64, scrub=[(0, 0, 64, 4)]),
    deny_when("Burnt in", burned_in_annotation="=YES"),
]
