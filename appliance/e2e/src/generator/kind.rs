//! The kinds of objects: which there are, what becomes of each, and in what proportions a set has them.
//!
//! What becomes of an object is decided by the shipped policy (`config/`); [`Kind::expectation`] is the one place that
//! says what that is.

use std::collections::BTreeMap;

use dicom_dictionary_std::uids;
use gift_status::HoldReason;
use serde::{Deserialize, Serialize};

use super::{
    rng::Rng,
    scanner::{self, Scanner},
};

/// The called AE title that a route leads on from.
pub const CALLED_AE: &str = "GIFTBOX";
/// A called AE title that the receiver answers to and no route names.
pub const UNROUTED_AE: &str = "ELSEWHERE";

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Voluson E10, one frame, native RGB, two banner lines.
    VolusonStill,
    /// Voluson E10, several frames.
    VolusonCine,
    /// V830, one frame, native RGB.
    V830Still,
    /// EPIQ 7C, several frames, JPEG baseline 4:2:2.
    EpiqCine,
    /// EPIQ 7C, one frame, native RGB.
    EpiqStill,
    /// An ultrasound image of a scanner that no template knows.
    UnknownUltrasound,
    /// CT slice.
    Ct,
    /// MR slice.
    Mr,
    /// Basic Text SR.
    BasicTextReport,
    /// Comprehensive SR.
    ComprehensiveReport,
    /// Scanned paper as an image.
    SecondaryCapture,
    /// Scanned paper as PDF.
    EncapsulatedPdf,
    /// An MR slice without Patient ID.
    WithoutPatientId,
    /// An ultrasound image sent to an AE title that no route names.
    Unrouted,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "kebab-case")]
pub enum Expectation {
    /// It arrives at the hub, de-identified.
    Released,
    /// It stands in quarantine, for this reason.
    Held(HoldReason),
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::VolusonStill,
        Self::VolusonCine,
        Self::V830Still,
        Self::EpiqCine,
        Self::EpiqStill,
        Self::UnknownUltrasound,
        Self::Ct,
        Self::Mr,
        Self::BasicTextReport,
        Self::ComprehensiveReport,
        Self::SecondaryCapture,
        Self::EncapsulatedPdf,
        Self::WithoutPatientId,
        Self::Unrouted,
    ];

    /// What the shipped policy makes of it.
    pub fn expectation(self) -> Expectation {
        match self {
            Self::VolusonStill | Self::VolusonCine | Self::V830Still | Self::EpiqCine | Self::EpiqStill => {
                Expectation::Released
            }
            Self::Ct | Self::Mr | Self::BasicTextReport | Self::ComprehensiveReport => Expectation::Released,
            Self::UnknownUltrasound | Self::SecondaryCapture => Expectation::Held(HoldReason::NoTemplate),
            Self::EncapsulatedPdf => Expectation::Held(HoldReason::UnsupportedSopClass),
            Self::WithoutPatientId => Expectation::Held(HoldReason::NoPatientId),
            Self::Unrouted => Expectation::Held(HoldReason::Unrouted),
        }
    }

    /// SOP Class UID.
    pub fn sop_class(self) -> &'static str {
        match self {
            Self::VolusonStill | Self::V830Still | Self::EpiqStill | Self::UnknownUltrasound | Self::Unrouted => {
                uids::ULTRASOUND_IMAGE_STORAGE
            }
            Self::VolusonCine | Self::EpiqCine => uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
            Self::Ct => uids::CT_IMAGE_STORAGE,
            Self::Mr | Self::WithoutPatientId => uids::MR_IMAGE_STORAGE,
            Self::BasicTextReport => uids::BASIC_TEXT_SR_STORAGE,
            Self::ComprehensiveReport => uids::COMPREHENSIVE_SR_STORAGE,
            Self::SecondaryCapture => uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
            Self::EncapsulatedPdf => uids::ENCAPSULATED_PDF_STORAGE,
        }
    }

    /// The called AE title to send it to.
    pub fn called_ae(self) -> &'static str {
        if self == Self::Unrouted { UNROUTED_AE } else { CALLED_AE }
    }

    /// The scanners that make it.
    pub(super) fn scanners(self) -> &'static [&'static Scanner] {
        match self {
            Self::VolusonStill | Self::VolusonCine | Self::Unrouted => &[&scanner::VOLUSON_E10],
            Self::V830Still => &[&scanner::V830],
            Self::EpiqCine | Self::EpiqStill => &[&scanner::EPIQ_7C],
            Self::UnknownUltrasound => &[&scanner::WS80A],
            Self::Ct => &[&scanner::REVOLUTION_CT],
            Self::Mr | Self::WithoutPatientId => &[&scanner::AERA, &scanner::INGENIA],
            Self::BasicTextReport | Self::ComprehensiveReport => &[&scanner::VOLUSON_E10, &scanner::EPIQ_7C],
            Self::SecondaryCapture | Self::EncapsulatedPdf => &[&scanner::DOCUMENT_GATEWAY],
        }
    }

    /// How many objects a series has at most.
    pub(super) fn longest_series(self) -> u64 {
        match self {
            Self::Ct | Self::Mr => 12,
            Self::VolusonStill | Self::V830Still | Self::EpiqStill => 5,
            _ => 2,
        }
    }

    /// How many of 100 objects are of this kind, where nothing else is asked for.
    fn usual_weight(self) -> u32 {
        match self {
            Self::Ct | Self::Mr => 20,
            Self::VolusonStill | Self::EpiqCine => 8,
            Self::EpiqStill | Self::BasicTextReport | Self::ComprehensiveReport => 6,
            Self::V830Still | Self::SecondaryCapture | Self::WithoutPatientId | Self::EncapsulatedPdf => 4,
            Self::VolusonCine | Self::UnknownUltrasound | Self::Unrouted => 3,
        }
    }
}

/// How many objects of which kinds.
#[derive(Debug, Clone)]
pub struct Mix {
    count: usize,
    weights: Vec<(Kind, u32)>,
}

impl Mix {
    /// `count` objects of all kinds in the usual proportions; each kind at least once where `count` allows it.
    pub fn usual(count: usize) -> Self {
        Self { count, weights: Kind::ALL.iter().map(|&kind| (kind, kind.usual_weight())).collect() }
    }

    /// `count` objects of one kind.
    pub fn only(kind: Kind, count: usize) -> Self {
        Self { count, weights: vec![(kind, 1)] }
    }

    /// With another weight for `kind`; zero leaves it out.
    #[must_use]
    pub fn weight(mut self, kind: Kind, weight: u32) -> Self {
        self.weights.retain(|&(other, _)| other != kind);
        self.weights.push((kind, weight));
        self.weights.sort_unstable();
        self
    }

    /// The kinds in a random order, in numbers proportional to the weights.
    pub(super) fn order(&self, rng: &mut Rng) -> Vec<Kind> {
        let weights: Vec<_> = self.weights.iter().copied().filter(|&(_, weight)| weight > 0).collect();
        let total: u64 = weights.iter().map(|&(_, weight)| u64::from(weight)).sum();
        let mut order = Vec::with_capacity(self.count);
        if self.count >= weights.len() {
            order.extend(weights.iter().map(|&(kind, _)| kind));
        }
        // The kind that is furthest behind its share comes next.
        let mut have: BTreeMap<Kind, u64> = order.iter().map(|&kind| (kind, 1)).collect();
        while order.len() < self.count && total > 0 {
            let placed = order.len() as u64 + 1;
            let behind = |&&(kind, weight): &&(Kind, u32)| {
                (u64::from(weight) * placed) as i64 - (have.get(&kind).copied().unwrap_or(0) * total) as i64
            };
            let Some(&(kind, _)) = weights.iter().max_by_key(behind) else { break };
            *have.entry(kind).or_default() += 1;
            order.push(kind);
        }
        rng.shuffle(&mut order);
        order
    }
}

impl From<usize> for Mix {
    fn from(count: usize) -> Self {
        Self::usual(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(order: &[Kind], kind: Kind) -> usize {
        order.iter().filter(|&&other| other == kind).count()
    }

    #[test]
    fn proportions_are_kept() {
        let order = Mix::usual(500).order(&mut Rng::new(3));
        assert_eq!(order.len(), 500);
        let total: u32 = Kind::ALL.iter().map(|kind| kind.usual_weight()).sum();
        for &kind in Kind::ALL {
            let share = 500.0 * f64::from(kind.usual_weight()) / f64::from(total);
            assert!((count(&order, kind) as f64 - share).abs() <= 1.0, "{kind:?}");
        }
    }

    #[test]
    fn a_small_set_has_every_kind() {
        let order = Mix::usual(Kind::ALL.len()).order(&mut Rng::new(3));
        assert!(Kind::ALL.iter().all(|&kind| count(&order, kind) == 1));
    }

    #[test]
    fn weights_can_be_changed() {
        let order = Mix::usual(50).weight(Kind::Ct, 0).weight(Kind::Mr, 1000).order(&mut Rng::new(3));
        assert_eq!(count(&order, Kind::Ct), 0);
        assert!(count(&order, Kind::Mr) > 30);
        assert_eq!(Mix::only(Kind::Ct, 7).order(&mut Rng::new(3)), [Kind::Ct; 7]);
    }
}
