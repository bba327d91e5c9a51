//! The standard's storage SOP classes, embedded from `config/storage-sop-classes.csv`.

const TABLE: &str = include_str!("../../../config/storage-sop-classes.csv");

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageSopClass {
    /// SOP Class UID.
    pub uid: &'static str,
    /// Keyword of PS3.6 Table A-1.
    pub keyword: &'static str,
    /// Retired from the standard, and still accepted: scanners outlive editions.
    pub retired: bool,
}

/// Every storage SOP class of the standard (PS3.4 B.5 and GG.3, retired ones included).
pub fn standard_storage_sop_classes() -> impl Iterator<Item = StorageSopClass> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split(',');
        let (uid, keyword, retired) = (fields.next()?, fields.next()?, fields.next()?);
        Some(StorageSopClass { uid, keyword, retired: retired == "true" })
    })
}

#[cfg(test)]
mod tests {
    use dicom_core::dictionary::{UidDictionary as _, UidType};
    use dicom_dictionary_std::StandardSopClassDictionary;

    use super::*;

    #[test]
    fn every_row_is_the_dictionarys_own() {
        let mut rows = 0;
        for class in standard_storage_sop_classes() {
            let entry = StandardSopClassDictionary.by_uid(class.uid).unwrap_or_else(|| panic!("{}", class.uid));
            assert_eq!((entry.alias, entry.retired), (class.keyword, class.retired), "{}", class.uid);
            assert_eq!(entry.r#type, UidType::SopClass);
            rows += 1;
        }
        assert_eq!(rows, TABLE.lines().filter(|line| !line.starts_with('#')).count());
    }

    #[test]
    fn no_class_of_the_main_storage_arc_is_missing() {
        // 1.2.840.10008.5.1.4.1.1.N and .N.M for plausible N, M: whatever the dictionary calls storage must be in the table.
        let listed: std::collections::HashSet<_> = standard_storage_sop_classes().map(|class| class.uid).collect();
        let mut seen = 0;
        let mut check = |uid: String| {
            if StandardSopClassDictionary.by_uid(&uid).is_some_and(|entry| entry.alias.contains("Storage")) {
                seen += 1;
                assert!(listed.contains(uid.as_str()), "{uid} is missing from the table");
            }
        };
        for n in 1..700 {
            check(format!("1.2.840.10008.5.1.4.1.1.{n}"));
            for m in 1..100 {
                check(format!("1.2.840.10008.5.1.4.1.1.{n}.{m}"));
            }
        }
        assert!(seen > 150, "{seen}");
    }
}
