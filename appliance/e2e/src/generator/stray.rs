//! Text in an image where no template covers it: an identifier that a scanner left there, or the harmless words of its screen.
//! For the second look (OCR), which must find the one and pass the other.

use super::{
    canvas::{FAINT, WHITE, YELLOW},
    clinic::Session,
    key::{Burnt, Class},
    people::spaced,
    rng::Rng,
    scanner::Rect,
};

/// What stands in an image besides the banner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// Words of the screen.
    Screen,
    /// The same, and an identifier of the patient.
    Identifier,
}

/// Words that stand on screens.
const SCREEN: &[&str] = &[
    "MI 1.2 TIs 0.3 22 Hz 12.0cm Fetal Heart",
    "FR 31Hz D 14.2cm",
    "BPD 5.21cm 21w5d",
    "EFW 512g 43%",
    "GA=22w3d LMP",
    "Gain -4 dB DR 72",
    "C5-1 OB General",
    "HR 148 bpm",
    "HC 19.87cm AC 17.03cm FL 3.81cm",
    "PI 1.04 RI 0.66 S/D 2.91",
    "AFI 13.4 cm",
    "Harm High FPS 28",
    "PRF 4.4kHz WMF 60Hz",
    "4Ch view",
    "RT OVARY SAG",
    "Umb Art PS 41.3cm/s",
    "NT 1.2mm",
    "IM 14/203 SE 4",
    "kV 120 mA 240",
    "W 400 L 40",
    "TE 92 TR 1400",
    "Placenta anterior",
];
/// What may stand before an identifier.
const LABELS: &[(Class, &[&str])] = &[
    (Class::Name, &["", "", "Name: ", "Pat: "]),
    (Class::PatientId, &["", "", "ID ", "MRN:"]),
    (Class::BirthDate, &["", "", "DOB ", "Born "]),
];
/// Rows at the upper and lower edge that are left alone: banner and annotations.
const TOP: u16 = 132;
const BOTTOM: u16 = 40;

/// One line of text, the same in every frame.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) at: (u16, u16),
    pub(super) text: String,
    /// Pixels of a side of a glyph's dot.
    pub(super) scale: u16,
    pub(super) colour: [u8; 3],
    /// The colour of the box behind it, when there is one.
    pub(super) backing: Option<[u8; 3]>,
    class: Option<Class>,
}

impl Mark {
    /// Where it stands.
    pub(super) fn rect(&self) -> Rect {
        let cell = 8 * self.scale;
        [self.at.0, self.at.1, cell * self.text.chars().count() as u16, cell]
    }

    /// As the key tells it.
    pub(super) fn burnt(&self) -> Burnt {
        Burnt { rect: self.rect(), text: self.text.clone(), identifying: self.class.is_some() }
    }
}

/// The lines for an image of that size (rows, columns); none unless the session asks for them.
pub(super) fn marks(session: &Session, (rows, columns): (u16, u16), with_banner: bool, rng: &mut Rng) -> Vec<Mark> {
    let Some(stray) = session.fixed.stray else { return Vec::new() };
    let mut texts: Vec<(Option<Class>, String)> =
        (0..rng.between(1, 2)).map(|_| (None, rng.pick(SCREEN).to_owned())).collect();
    if stray == Stray::Identifier {
        let (class, text) = identifier(session, rng);
        texts.push((Some(class), text));
    }
    let (top, bottom) = if with_banner { (TOP, rows - BOTTOM) } else { (4, rows) };
    let mut marks: Vec<Mark> = Vec::new();
    for (class, text) in texts {
        let cells = text.chars().count() as u16;
        let room = columns.saturating_sub(8) / (8 * cells);
        let scale = (rng.between(2, 4) as u16).min(room).max(1);
        let (width, height) = (8 * scale * cells, 8 * scale);
        let free =
            |y: u16| marks.iter().all(|other| y + height + 12 < other.at.1 || y > other.at.1 + other.rect()[3] + 12);
        let mut place = || {
            let x = rng.between(4, u64::from(columns.saturating_sub(width + 4)).max(4)) as u16;
            (x, rng.between(u64::from(top), u64::from(bottom - height - 4)) as u16)
        };
        let at = (0..200).map(|_| place()).find(|&(_, y)| free(y)).unwrap_or((4, top));
        let (colour, backing) = match rng.between(0, 9) {
            0..=5 => (rng.pick(&[WHITE, YELLOW]), None),
            6 | 7 => (rng.pick(&[WHITE, YELLOW, FAINT]), Some([0, 0, 0])),
            8 => (WHITE, Some([40, 50, 70])),
            _ => ([10, 10, 10], Some([200, 205, 210])),
        };
        marks.push(Mark { at, text, scale, colour, backing, class });
    }
    marks
}

/// Name, number or birth date of the patient, as a scanner may write it. A name that is not in Latin letters in the object would
/// be found by nobody, so it is the number then.
fn identifier(session: &Session, rng: &mut Rng) -> (Class, String) {
    let patient = &session.series.visit.patient;
    let name = &patient.name;
    let class = match rng.pick(&[Class::Name, Class::PatientId, Class::BirthDate]) {
        Class::Name if !name.is_latin() => Class::PatientId,
        class => class,
    };
    let text = match class {
        Class::Name if !name.spoken().is_ascii() => name.drawn().to_owned(),
        Class::Name => match rng.between(0, 3) {
            0 => name.drawn().to_owned(),
            1 => name.filed(),
            2 => name.spoken(),
            // A family name of two letters is no evidence by itself.
            _ if name.family.len() >= 4 => name.shouted(),
            _ => name.drawn().to_owned(),
        },
        Class::PatientId if rng.chance(50) => spaced(&patient.id),
        Class::PatientId => patient.id.clone(),
        _ => patient.birth_written(rng.bits()),
    };
    let labels = LABELS.iter().find(|(of, _)| *of == class).map_or(&[""][..], |(_, labels)| labels);
    (class, format!("{}{text}", rng.pick(labels)))
}
