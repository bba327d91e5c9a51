//! Codes of CID 7050 (PS3.16) for what was done: De-identification Method Code Sequence (0012,0064).

use super::{Profile, ProfileOption};

/// Code value and meaning, coding scheme DCM, of everything `profile` does.
pub(crate) fn method_codes(profile: &Profile) -> Vec<(&'static str, &'static str)> {
    use ProfileOption::*;
    const OPTIONS: [(ProfileOption, &str, &str); 11] = [
        (CleanPixelData, "113101", "Clean Pixel Data Option"),
        (CleanGraphics, "113103", "Clean Graphics Option"),
        (CleanStructuredContent, "113104", "Clean Structured Content Option"),
        (CleanDescriptors, "113105", "Clean Descriptors Option"),
        (RetainLongitudinalFullDates, "113106", "Retain Longitudinal Temporal Information Full Dates Option"),
        (RetainLongitudinalModifiedDates, "113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        (RetainPatientCharacteristics, "113108", "Retain Patient Characteristics Option"),
        (RetainDeviceIdentity, "113109", "Retain Device Identity Option"),
        (RetainUids, "113110", "Retain UIDs Option"),
        (RetainSafePrivate, "113111", "Retain Safe Private Option"),
        (RetainInstitutionIdentity, "113112", "Retain Institution Identity Option"),
    ];
    let options = OPTIONS.into_iter().filter(|(option, _, _)| profile.has(*option)).map(|(_, code, text)| (code, text));
    std::iter::once(("113100", "Basic Application Confidentiality Profile")).chain(options).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::profile_with;
    use super::*;

    const CID_7050: &str = include_str!("../../../../config/ps3.15/cid_7050_deid_method.csv");

    #[test]
    fn every_code_stands_in_cid_7050_as_it_is_written_here() {
        let all = [
            "clean-graphics",
            "clean-structured-content",
            "clean-descriptors",
            "retain-longitudinal-modified-dates",
            "retain-patient-characteristics",
            "retain-device-identity",
            "retain-uids",
            "retain-safe-private",
            "retain-institution-identity",
        ];
        let codes = method_codes(&profile_with(&all));
        assert_eq!(codes.len(), all.len() + 2);
        for (code, meaning) in codes {
            assert!(CID_7050.contains(&format!("DCM,{code},{meaning}")), "{code} {meaning}");
        }
        assert!(CID_7050.contains("113106,Retain Longitudinal Temporal Information Full Dates Option"));
    }
}
