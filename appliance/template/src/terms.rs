//! Which values of an object may go into a template: terms of closed lists, makes and models of the vocabulary; and the proof that
//! none of the object's own identifiers went along.

use anyhow::{Context as _, Result, anyhow, bail};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::{
    Identifiers, Kept, ScanError,
    dataset::{DataSet, EXPLICIT_VR_LITTLE_ENDIAN, Element, OutputMeta, Source, Sources, write},
};
use gift_redact::{Conditions, Fingerprint, PixelLayout, Syntax, Term, Token};

use crate::{object::Object, policy::Policy};

/// The object's format, and what is only said to its operator.
pub(crate) struct Format {
    /// Conditions that hold for it.
    pub(crate) conditions: Conditions,
    /// What was left out.
    pub(crate) left_out: Vec<&'static str>,
}

/// The fingerprint: digests are of no use here, so each is the same.
pub(crate) fn fingerprint(object: &Object<'_>, policy: &Policy) -> Result<Fingerprint> {
    let digest = |_: &'static str, _: &str| Ok::<_, anyhow::Error>(Token::from([0; 16]));
    Fingerprint::of(&object.data_set, &object.transfer_syntax, &policy.vocabulary, |_| false, digest)
}

/// Conditions for objects like this one. Besides the vocabulary, make, model and versions in `known` are taken, which whoever gives
/// them has looked at.
///
/// # Errors
/// Make or model is absent, or neither in the vocabulary nor in `known`; another attribute is not what the standard says.
pub(crate) fn format(object: &Object<'_>, policy: &Policy, known: &[String]) -> Result<Format> {
    let found = fingerprint(object, policy)?;
    let layout = PixelLayout::of(&object.data_set).context("Image Pixel module")?;
    let mut left_out = Vec::new();
    let given = |tag| object.data_set.str(tag).filter(|value| known.contains(value));
    let free = |term: &Term, tag, name: &str| {
        match term {
        Term::Known(value) => Ok(value.clone()),
        Term::Digest(_) => given(tag).ok_or_else(|| {
            anyhow!(
                "{name} is no value of vocabulary.toml. Free text may hold anybody's name: look at it (`gift-examine explain \
                 --values`), then add it to the vocabulary or give it with --known"
            )
        }),
        Term::Absent => bail!("no {name}: a template must state it"),
    }
    };
    let closed = |term: &Term, name: &str| match term {
        Term::Known(value) => Ok(value.clone()),
        _ => bail!("{name} is none of the standard's"),
    };
    let software_versions = match &found.software_versions {
        Term::Known(value) => Some(value.clone()),
        Term::Absent => None,
        Term::Digest(_) => {
            // Several values stay joined, as the condition compares them.
            let value = object.data_set.strings(tags::SOFTWARE_VERSIONS).join("\\");
            let taken = known.contains(&value).then_some(value);
            if taken.is_none() {
                left_out.push("Software Versions (no value of vocabulary.toml; --known VALUE takes it)");
            }
            taken
        }
    };
    let transfer_syntax = closed(&found.transfer_syntax, "Transfer Syntax UID")?;
    let native = Syntax::of(&transfer_syntax) == Syntax::Native;
    let conditions = Conditions {
        manufacturer: Some(free(&found.manufacturer, tags::MANUFACTURER, "Manufacturer")?),
        model: Some(free(&found.model, tags::MANUFACTURER_MODEL_NAME, "Manufacturer's Model Name")?),
        software_versions: software_versions.map(|v| vec![v]),
        sop_classes: Some(vec![closed(&found.sop_class, "SOP Class UID")?]),
        rows: layout.rows,
        columns: layout.columns,
        samples: Some(layout.samples),
        photometric_interpretations: Some(vec![layout.photometric.as_str().to_owned()]),
        transfer_syntaxes: Some(vec![if native { "native".to_owned() } else { transfer_syntax }]),
        ultrasound_regions: None,
    };
    Ok(Format { conditions, left_out })
}

/// Fails when an identifier of `ds` stands in `text`: the box's own leak scan, over an object that holds nothing but the text.
///
/// # Errors
/// One does, or it could not be looked for.
pub(crate) fn holds_no_identifier(ds: &DataSet, text: &str) -> Result<()> {
    let mut carrier = DataSet::new();
    carrier.insert(Element::new(tags::TEXT_VALUE, VR::UT, text));
    let meta = OutputMeta {
        transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        sop_class_uid: dicom_dictionary_std::uids::RAW_DATA_STORAGE.to_owned(),
        sop_instance_uid: "2.25.0".to_owned(),
    };
    let (mut file, nothing) = (Vec::new(), Vec::new());
    let nothing: &dyn Source = &nothing;
    write(&carrier, &meta, Sources { input: nothing, scratch: nothing }, &mut file)?;
    // A station is often named after its model, and dates stand in no template.
    let kept = Kept { institution: false, device: true, uids: true, dates: true };
    match Identifiers::collect(ds).scan(&file, kept) {
        Ok(_) => Ok(()),
        Err(ScanError::Leak { kind, .. }) => bail!("an identifier of the object ({kind}) would stand in the template"),
        Err(other) => Err(other.into()),
    }
}
