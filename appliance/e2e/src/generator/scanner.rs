//! The scanners of the simulated hospital: how each announces itself and lays out its images.

/// A region `[x, y, width, height]` in pixels, from the upper left corner.
pub type Rect = [u16; 4];

/// A scanner (or another source of objects).
#[derive(Debug, PartialEq, Eq)]
pub struct Scanner {
    /// Its AE title.
    pub calling_ae: &'static str,
    /// Manufacturer (0008,0070).
    pub manufacturer: &'static str,
    /// Manufacturer's Model Name (0008,1090).
    pub model: &'static str,
    /// Software Versions (0018,1020).
    pub software: &'static str,
    /// Station Name (0008,1010).
    pub station: &'static str,
    /// Device Serial Number (0018,1000).
    pub serial: &'static str,
    /// Root of the UIDs it makes.
    pub uid_root: &'static str,
    /// Size of its screen captures: rows, columns. Zero where objects choose their own.
    pub size: (u16, u16),
    /// Where it writes the patient's particulars into the image, one line of text each.
    pub banner: &'static [Rect],
}

/// GE Voluson E10: two lines at the upper left.
pub const VOLUSON_E10: Scanner = Scanner {
    calling_ae: "VOLUSON1",
    manufacturer: "GE Healthcare",
    model: "Voluson E10",
    software: "20.0.6.501",
    station: "VOL-E10-THEATRE2",
    serial: "E10X4471902",
    uid_root: "1.2.840.113619.2.391.3780",
    size: (720, 960),
    banner: &[[76, 3, 430, 28], [76, 36, 430, 26]],
};

/// GE V830: two lines at the upper left.
pub const V830: Scanner = Scanner {
    calling_ae: "V830ROOM2",
    manufacturer: "GE Healthcare Austria GmbH & Co OG",
    model: "V830",
    software: "13.0.2.105",
    station: "V830-CLINIC-R2",
    serial: "A71Q083355",
    uid_root: "1.2.840.113619.2.256.1051",
    size: (852, 1136),
    banner: &[[78, 2, 425, 29], [78, 36, 425, 29]],
};

/// Philips EPIQ 7C: one band over the whole width, two lines of text in it.
pub const EPIQ_7C: Scanner = Scanner {
    calling_ae: "EPIQ7A",
    manufacturer: "Philips Medical Systems",
    model: "EPIQ 7C",
    software: "1.8.5",
    station: "EPIQ-FMU-07",
    serial: "US616B0771",
    uid_root: "1.3.46.670589.14.8100.7204",
    size: (600, 800),
    banner: &[[0, 0, 800, 49]],
};

/// Samsung WS80A: no template knows it.
pub const WS80A: Scanner = Scanner {
    calling_ae: "WS80A",
    manufacturer: "Samsung Medison Co., LTD.",
    model: "WS80A",
    software: "3.02.00.0871",
    station: "WS80A-OUTREACH",
    serial: "S0QLM3HD300019K",
    uid_root: "1.2.410.200001.1.1185.2203",
    size: (768, 1024),
    banner: &[[0, 0, 1024, 52]],
};

/// A GE CT.
pub const REVOLUTION_CT: Scanner = Scanner {
    calling_ae: "CT01",
    manufacturer: "GE MEDICAL SYSTEMS",
    model: "Revolution CT",
    software: "revo_ct_21b.40",
    station: "CT01-BASEMENT",
    serial: "REVO4460218",
    uid_root: "1.2.840.113619.2.416.2280",
    size: (0, 0),
    banner: &[],
};

/// A Siemens MR that writes implicit VR.
pub const AERA: Scanner = Scanner {
    calling_ae: "MRC35215",
    manufacturer: "SIEMENS",
    model: "Aera",
    software: "syngo MR E11",
    station: "MRC35215-FETAL",
    serial: "SN141735215",
    uid_root: "1.3.12.2.1107.5.2.18.41735",
    size: (0, 0),
    banner: &[],
};

/// A Philips MR.
pub const INGENIA: Scanner = Scanner {
    calling_ae: "INGENIA1",
    manufacturer: "Philips Medical Systems",
    model: "Ingenia",
    software: "5.7.1\\5.7.1.1",
    station: "INGENIA-SUITE-A",
    serial: "PMS0042088",
    uid_root: "1.3.46.670589.11.42088.5",
    size: (0, 0),
    banner: &[],
};

/// A gateway for scanned paper: secondary captures and PDF.
pub const DOCUMENT_GATEWAY: Scanner = Scanner {
    calling_ae: "DOCGATE",
    manufacturer: "Paperbridge Systems",
    model: "DocGate",
    software: "4.1",
    station: "RECORDS-DESK-3",
    serial: "PB-DG-00317",
    uid_root: "1.2.826.0.1.3680043.9.7433.1.4",
    size: (512, 640),
    banner: &[],
};

/// All of them.
pub const SCANNERS: &[Scanner] = &[VOLUSON_E10, V830, EPIQ_7C, WS80A, REVOLUTION_CT, AERA, INGENIA, DOCUMENT_GATEWAY];
