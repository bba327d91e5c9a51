//! Words of a scanner's screen besides those of [`vocabulary`](super::super::vocabulary): never taken for a name that resembles them.

use std::{collections::HashSet, sync::LazyLock};

use super::super::vocabulary;

/// Folded words, a subject a line.
const WORDS: &str = "
gain depth freq frequency focus zoom zone zones power output range dyn dynamic persist persistence harm harmonic harmonics reject
edge smooth map maps line lines density angle steer wall filter scale baseline sweep speed rate frame frames fps cine loop clip
freeze live store save print send post menu next prev exit page measure calc caliper trace ellipse volume
doppler colour color flow pulse pulsed wave tissue mode dual quad split biopsy guide needle grid mark marker
peak mean mins maxs time slope decel accel vmax vmin vmean resistive pulsatility index ratio systole diastole
fetal foetal fetus foetus heart head femur humerus abdomen cord placenta uterus cervix ovary amniotic fluid crown rump length
diameter circumference biparietal occipito frontal transverse cerebellar cisterna nuchal nasal bone fold spine kidney bladder
stomach profile face lips feet hand hands twin twins gestation gestational weeks days age weight estimated percentile hadlock
trimester obstetric gynae anomaly growth early late scan view chamber outflow arch ductal bicaval short long axis sagittal
coronal axial left right upper lower anterior posterior superior inferior medial lateral supine prone
slice thick thickness spacing position kernel window level series image acquisition matrix contrast phase echo train flip field
convex linear sector probe transducer preset abdo obst card vasc general high medium quality resolution penetration
";

static ALL: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.split_whitespace().collect());

/// True for a folded word of a scanner's screen.
pub(super) fn is_known(folded: &str) -> bool {
    ALL.contains(folded) || vocabulary::is_common(folded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::joined;

    #[test]
    fn every_word_is_folded_or_it_would_never_match() {
        assert!(ALL.len() > 150);
        assert!(ALL.iter().all(|word| *word == joined(word)));
    }
}
