//! Clean objects of patients with short and common names, at hospitals and stations called what descriptions consist of: hardly
//! one is held, no description is lost, and what is planted is still caught.
//!
//! Counted as lost: a description or technical attribute that is not what it was, unless a word of it is a name of this patient
//! that stands where a name would. Not counted: text that holds a planted identifier.

use super::*;

const FAMILIES: [&str; 60] = [
    "Li", "Ng", "May", "Grey", "Hall", "Day", "King", "Young", "Long", "Brown", "Wu", "Xu", "Ho", "Le", "Do", "Kim",
    "Lee", "Park", "Ali", "Roy", "Fox", "Bell", "Wood", "Hill", "Green", "White", "Black", "Gray", "Head", "Hand",
    "Foot", "Bone", "Rose", "Snow", "Stone", "West", "North", "Ward", "Cook", "Page", "Price", "Rice", "Reed", "Love",
    "Good", "Best", "Small", "Short", "Sharp", "Smith", "Jones", "Bird", "Wolf", "Lamb", "Cross", "Church", "Marsh",
    "Field", "Waters", "Rivers",
];
const GIVEN: [&str; 24] = [
    "A", "Jo", "Al", "Bo", "Ann", "May", "June", "April", "Mark", "Grace", "Wei", "Ray", "Dawn", "Summer", "Rose",
    "Faith", "Hope", "Joy", "Will", "Art", "Guy", "Max", "Pat", "Bill",
];
const DEPARTMENTS: [&str; 24] = [
    "Radiology",
    "X-Ray",
    "Ultrasound",
    "Vascular Laboratory",
    "Mammography",
    "Echocardiography",
    "Nuclear Medicine",
    "Fetal Medicine",
    "MRI Suite",
    "CT Suite 2",
    "Breast Screening",
    "Neuroradiology",
    "Cardiology",
    "Thyroid Clinic",
    "Emergency Department",
    "Paediatric Radiology",
    "Orthopaedic Outpatients",
    "Interventional Radiology",
    "Stroke Unit",
    "Urology",
    "Hepatology",
    "Obstetrics and Gynaecology",
    "Theatre 4",
    "Prostate Clinic",
];
const HOSPITALS: [&str; 10] = [
    "General Hospital",
    "Royal Infirmary",
    "Queen Elizabeth Hospital",
    "Kings Cross Hospital",
    "St Marys Hospital",
    "City Hospital",
    "The Royal Free",
    "North Middlesex",
    "Chelsea and Westminster",
    "Long Lane Surgery",
];
/// Manufacturer, model, station.
const SCANNERS: [(&str, &str, &str); 10] = [
    ("SIEMENS", "Skyra", "SKYRA"),
    ("SIEMENS", "Prisma_fit", "PRISMA"),
    ("SIEMENS", "SOMATOM Definition AS+", "CT01"),
    ("GE MEDICAL SYSTEMS", "Revolution CT", "ct99"),
    ("GE MEDICAL SYSTEMS", "DISCOVERY MR750w", "GEHCGEHC"),
    ("Philips Medical Systems", "Ingenia Elition X", "INGENIA"),
    ("Philips Medical Systems", "EPIQ 7C", "VASCULAR"),
    ("Canon Medical Systems", "Aquilion ONE", "ID_STATION"),
    ("Mindray", "Resona 7", "ROOM 4"),
    ("SAMSUNG MEDISON CO., LTD.", "WS80A", "THYROID"),
];
const STUDIES: [&str; 54] = [
    "CT Head without contrast",
    "CT HEAD W/O",
    "MR Brain grey matter volumetry",
    "US Obstetric 20 weeks",
    "XR Left hand, 2 views",
    "Young adult hip protocol",
    "Fetal echo",
    "US Thyroid",
    "Thyroid",
    "Mammography",
    "MAMMOGRAM BILATERAL SCREENING",
    "Carotid vascular",
    "US Doppler carotid L+R",
    "CT Abdomen/Pelvis",
    "CT Chest Abdomen Pelvis with IV contrast",
    "MR Lumbar spine",
    "MR Knee left 3T",
    "XR Chest PA",
    "XR Foot right weight bearing",
    "US Abdomen",
    "US Liver + elastography",
    "Prostate mpMRI",
    "MR Prostate PI-RADS 4",
    "LI-RADS 5 follow up",
    "Echo TTE",
    "TOE",
    "Stress echo",
    "DSA cerebral",
    "CT KUB",
    "CTPA",
    "CT Aorta gated",
    "CT Cardiac calcium score",
    "NM Bone scan whole body",
    "PET CT skull base to mid thigh",
    "Follow-up nodule 6 mm",
    "MR Cardiac LGE",
    "MR Small bowel",
    "US Renal",
    "US Testes",
    "US DVT left leg",
    "XR Long leg view",
    "XR Hand bone age",
    "MR Head + IAM",
    "Brown fat imaging",
    "CT Sinuses",
    "MR White matter",
    "Rose Bengal",
    "Bird beak sign",
    "Day 3 post op",
    "Day case",
    "Short axis stack",
    "Sharp kernel",
    "Page 2",
    "US Neck",
];
const SERIES: [&str; 46] = [
    "Axial 3mm soft tissue",
    "Long axis cine",
    "t1_mprage_sag_p2_iso",
    "Chest/Abdomen/Pelvis 1.5 B30f",
    "4CH",
    "DWI b1000 trace",
    "ep2d_diff_b1000_3scan_trace",
    "T2 FLAIR 3.0 x 0.7 x 0.7",
    "Ax T1 3MM +C",
    "PLAX",
    "SAX 2D",
    "A4C LV focused",
    "Topogram 0.6 T20s",
    "Scout",
    "3 plane loc",
    "AAHead_Scout",
    "Cor STIR",
    "Sag PD FS",
    "Head 1.5 H30s",
    "Bone 0.75 Hr64",
    "Lung 1.0 I70f 3",
    "MIP Cor 10/2",
    "VRT",
    "SWI_Images",
    "mIP_Images(SW)",
    "ADC_DFC_MIX",
    "Dyn 1 of 5",
    "Art phase 25s",
    "PV phase 70s",
    "DELAY 10 MIN",
    "NECK MRA 0.8",
    "TOF_3D_multi-slab",
    "BOLD_moco",
    "GRE_field_mapping",
    "CBF (Color)",
    "L CC",
    "R MLO",
    "LT KNEE AP",
    "Ped Abd 100kV",
    "Recon 2: 5/5",
    "WB 512x512",
    "Grey scale",
    "Hand PA",
    "Foot DP",
    "HALL effect off",
    "Prone 1.25 x 0.625",
];

/// A profile's run over clean objects `0..count`; the identifiers are planted in every tenth.
fn campaign(count: usize) {
    let profile = shipped();
    let (mut held, mut lost, mut clean) = (0, Vec::new(), 0);
    for n in 0..count {
        let pick = |from: &[&'static str], step: usize| from[(n / step + n * 7) % from.len()];
        let (family, given) = (FAMILIES[n % FAMILIES.len()], GIVEN[n / FAMILIES.len() % GIVEN.len()]);
        let (make, model, station) = SCANNERS[n / 3 % SCANNERS.len()];
        let (study, series) = (pick(&STUDIES, 5), pick(&SERIES, 11));
        let number = format!("{}", 10_000 + n * 7919 % 90_000);
        let planted = n % 10 == 9;
        let study = if planted {
            let name =
                [format!("{family}, {given}a"), format!("Mrs {family}"), format!("{family} {number}x 943 476 5919")];
            format!("{study} {}", name[n / 10 % 3])
        } else {
            study.to_owned()
        };
        let given = if planted { format!("{given}a") } else { given.to_owned() };
        let mut ds = object([
            text(8, 0x20, VR::DA, "20240226"),
            text(8, 0x50, VR::SH, &format!("{n}")),
            text(8, 0x70, VR::LO, make),
            text(8, 0x80, VR::LO, HOSPITALS[n / 2 % HOSPITALS.len()]),
            text(8, 0x90, VR::PN, FAMILIES[(n + 13) % FAMILIES.len()]),
            text(8, 0x1010, VR::SH, station),
            text(8, 0x1030, VR::LO, &study),
            text(8, 0x103E, VR::LO, series),
            text(8, 0x1040, VR::LO, DEPARTMENTS[n / 4 % DEPARTMENTS.len()]),
            text(8, 0x1070, VR::PN, ["Radiographer", "CT TECH", "Sonographer^1", "JS"][n % 4]),
            text(8, 0x1090, VR::LO, model),
            text(0x10, 0x10, VR::PN, &format!("{family}^{given}")),
            text(0x10, 0x20, VR::LO, &number),
            text(0x18, 0x15, VR::CS, "HEAD"),
            text(0x18, 0x24, VR::SH, "*tfl3d1_16ns"),
            text(0x18, 0x1020, VR::LO, "syngo MR E11 20190812"),
            text(0x18, 0x1210, VR::SH, "B30f"),
            text(0x20, 0x10, VR::SH, ["CHEST", "THYROID", "1", "S12"][n % 4]),
        ]);
        ds.insert(Element::new(
            Tag(0x7FE0, 0x10),
            VR::OW,
            (0..2_000_u32).flat_map(|i| (i * n as u32).to_le_bytes()).collect::<Vec<_>>(),
        ));
        let identifiers = Identifiers::collect(&ds);
        let profiled = deidentify(ds, EXPLICIT_VR_LITTLE_ENDIAN, &identifiers, &profile, &mut who(1)).unwrap();
        held += usize::from(identifiers.scan(&bytes_of(&profiled), Kept::by(&profile)).is_err());
        let out = |g, e| profiled.data_set().str(Tag(g, e)).unwrap_or_default();
        if planted {
            let left = out(8, 0x1030);
            assert!(!left.contains(family) || study.matches(family).count() > 1, "{family} stays in: {left}");
            assert!(!left.contains("943"), "{left}");
        } else {
            clean += 1;
            for (tag, value) in
                [((8, 0x1030), study.as_str()), ((8, 0x103E), series), ((8, 0x1090), model), ((8, 0x70), make)]
            {
                if out(tag.0, tag.1) != value {
                    lost.push(format!("{family}^{given}, {station}: '{value}' became '{}'", out(tag.0, tag.1)));
                }
            }
        }
        for (tag, value) in
            [((0x18, 0x24), "*tfl3d1_16ns"), ((0x18, 0x1020), "syngo MR E11 20190812"), ((0x18, 0x1210), "B30f")]
        {
            assert_eq!(out(tag.0, tag.1), value);
        }
    }
    assert!(held * 100 <= count, "{held} of {count} held");
    let blanked: Vec<&String> = lost.iter().filter(|l| l.ends_with("''") || l.ends_with("REMOVED'")).collect();
    assert!(blanked.is_empty(), "descriptions lost: {blanked:?}");
    // Single words go where the patient's name stands beside an initial or a number of the text.
    assert!(lost.len() * 100 <= clean, "{} of {clean} changed: {lost:?}", lost.len());
}

#[test]
fn short_and_common_names_hold_nothing_and_blank_nothing() {
    campaign(500);
}

#[test]
#[ignore = "a campaign: run with --ignored"]
fn five_thousand_clean_objects() {
    campaign(5_000);
}

/// What no header names is cut from every text that people write, and what no table lists is such a text too.
#[test]
fn identifiers_of_any_origin_go_from_text_that_no_table_lists() {
    for profile in [shipped(), profile_with(&[])] {
        let profiled = run(
            object([
                text(0x18, 0x24, VR::SH, "07740118488"),
                text(0x28, 0x1055, VR::LO, "WINDOW jd@uni.example"),
                text(0x70, 0x02, VR::CS, "MONPLIDRA"),
                text(0x70, 0x68, VR::LO, "ring 01435 421909"),
                text(0x70, 0x80, VR::CS, "FOR MONPLIDRA"),
                text(0x70, 0x81, VR::LO, "seen 3 Mar 2021 for RQ780833"),
                text(0x74, 0x100C, VR::LO, "Grumble, V"),
                Element::new(Tag(0x16, 0x2B), VR::OB, "owner Grumble".as_bytes().to_vec()),
            ]),
            &profile,
        )
        .unwrap();
        let bytes = bytes_of(&profiled);
        for secret in ["07740118488", "jd@uni", "421909", "Mar 2021", "RQ780833", "Grumble", "Monplidra"] {
            assert!(!holds(&bytes, secret), "{secret}");
        }
        assert_eq!(profiled.data_set().str(Tag(0x70, 0x02)).as_deref(), Some("REMOVED"), "a label stays a label");
        assert_eq!(profiled.data_set().str(Tag(0x70, 0x80)).as_deref(), Some("FOR"));
        assert_eq!(profiled.data_set().str(Tag(0x28, 0x1055)).as_deref(), Some("WINDOW"));
    }
}

/// An animal's owner goes, and the attributes that its object must have stay, empty.
#[test]
fn an_animal_keeps_its_attributes_without_its_owner() {
    let ds = object([
        text(0x10, 0x2201, VR::LO, "CANINE"),
        text(0x10, 0x2297, VR::PN, "Grumble^V"),
        text(0x10, 0x2299, VR::LO, "Drawyn Kennels"),
    ]);
    let profiled = run(ds, &shipped()).unwrap();
    for tag in [Tag(0x10, 0x2294), Tag(0x10, 0x2297), Tag(0x10, 0x2299)] {
        assert!(profiled.data_set().get(tag).is_some_and(|e| e.value.is_empty()), "{tag}");
    }
    assert!(!["Grumble", "Drawyn"].iter().any(|s| holds(&bytes_of(&profiled), s)));
    assert!(!done(object([]), &shipped()).contains(Tag(0x10, 0x2297)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// References point at what they pointed at: equal UIDs stay equal, distinct ones distinct, wherever they stand.
    #[test]
    fn references_keep_what_they_refer_to(picks in prop::collection::vec((0_usize..12, 0_usize..3), 1..24)) {
        let uid = |n: usize| format!("1.2.826.0.1.99.7.{}", 1_000 + n);
        let reference = |(n, place): &(usize, usize)| {
            let own = set([text(8, 0x1150, VR::UI, CT), text(8, 0x1155, VR::UI, &uid(*n))]);
            match place {
                0 => own,
                1 => set([Element::sequence(Tag(8, 0x1199), vec![own])]),
                _ => set([Element::sequence(Tag(8, 0x1115), vec![set([Element::sequence(Tag(8, 0x1199), vec![own])])])]),
            }
        };
        let sequence = picks.iter().map(reference).collect();
        let ds = done(object([Element::sequence(Tag(8, 0x2112), sequence)]), &shipped());
        let new: Vec<String> = ds
            .walk()
            .filter(|e| e.tag == Tag(8, 0x1155))
            .flat_map(|e| e.strings(CharacterSet::default()))
            .collect();
        prop_assert_eq!(new.len(), picks.len());
        for (a, (was_a, _)) in new.iter().zip(&picks) {
            prop_assert!(a.starts_with("2.25.") && a.len() <= 64);
            for (b, (was_b, _)) in new.iter().zip(&picks) {
                prop_assert_eq!(a == b, was_a == was_b);
            }
        }
    }

    /// However a text is made of a name, a number and a date of this patient, none of them comes out, by the rules or held.
    #[test]
    fn no_spelling_of_an_identifier_comes_out(
        family in "[A-Z][b-z]{6,12}", given in "[A-Z][b-z]{5,9}", number in "[A-Z]{2}[0-9]{7}",
        glue in prop::sample::select(vec![" ", "^", ", ", "_", "-", "", "/", "0", "."]),
        form in 0_usize..6, place in 0_usize..4,
    ) {
        let written = match form {
            0 => format!("{family}{glue}{given}"),
            1 => format!("{given}{glue}{family}").to_uppercase(),
            2 => format!("{number}{glue}x").to_lowercase(),
            3 => format!("x{glue}{family}"),
            4 => format!("{family}{glue}{number}"),
            _ => format!("{family}{glue}9 Nov 1957"),
        };
        let at = [Tag(8, 0x1030), Tag(8, 0x103E), Tag(0x28, 0x1055), Tag(0x18, 0x24)][place];
        let ds = object([
            text(0x10, 0x10, VR::PN, &format!("{family}^{given}")),
            text(0x10, 0x20, VR::LO, &number),
            Element::new(at, VR::LO, written.as_bytes().to_vec()),
        ]);
        let identifiers = Identifiers::collect(&ds);
        let profile = shipped();
        let profiled = deidentify(ds, EXPLICIT_VR_LITTLE_ENDIAN, &identifiers, &profile, &mut who(1)).unwrap();
        let bytes = bytes_of(&profiled);
        let common = |word: &str| !crate::identifiers::is_telling(&word.to_lowercase());
        for secret in [&family, &given, &number, &"1957".to_owned()] {
            prop_assert!(common(secret) || !holds(&bytes, secret), "{} of '{}'", secret, written);
        }
    }
}
