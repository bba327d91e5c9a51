//! From what a worker states of its output to the manifest that goes up with it. A statement is believed only as far as the
//! monitor can see for itself: the bytes' length, digest and first 132, the pseudonyms it gave out, the names it knows.

use std::{fs::File, io::Read as _};

use gift_redact::video::Standard;
use gift_spool::IntakeRecord;
use gift_wire::{Certificate, Linkage, Manifest, ObjectId, Sha256Hex, WIRE_VERSION};

use crate::{ask::Given, judge::Names, linkage::Domain, protocol::Facts, release, route::Route, work::At};

/// What a statement is checked against.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The item's identifier, which the object keeps.
    pub object: &'a str,
    /// Keyed digest of what was received.
    pub input_digest: &'a str,
    /// What the receiver said.
    pub record: &'a IntakeRecord,
    /// Its route.
    pub route: &'a Route,
    /// Version of the site key.
    pub key_version: u32,
    /// The route's linkage domain.
    pub domain: Option<&'a Domain>,
    /// Profiles and templates there are.
    pub names: &'a Names,
    /// Pseudonyms given out for this object.
    pub given: &'a Given,
    /// Largest output, bytes.
    pub most_bytes: u64,
}

impl Ground<'_> {
    /// The manifest of `output`, or what of the statement does not hold.
    ///
    /// # Errors
    /// A fixed word for the event log.
    pub fn manifest(&self, facts: &Facts, output: &File, now_ms: u64) -> Result<Manifest, &'static str> {
        let size = output.metadata().map_err(|_| "output")?.len();
        if size != facts.output_bytes || size > self.most_bytes {
            return Err("length");
        }
        // PS3.10 §7.1: what stands in the preamble is nobody's business but an attacker's.
        let mut head = [1; 132];
        At::start(output).read_exact(&mut head).map_err(|_| "head")?;
        if head.strip_prefix(&[0; 128]) != Some(b"DICM".as_slice()) {
            return Err("head");
        }
        let uids = [&facts.sop_instance_uid, &facts.study_instance_uid, &facts.series_instance_uid];
        let kept = self.names.uids_kept.contains(&self.route.profile);
        if !kept && !uids.into_iter().all(|uid| self.given.uid(uid)) {
            return Err("uid not given out");
        }
        if !self.given.subject(&facts.subject) {
            return Err("subject not given out");
        }
        if facts.sop_class_uid != self.record.sop_class_uid {
            return Err("sop class");
        }
        let received = self.record.transfer_syntax_uid.as_str();
        let syntaxes = [received, Standard::written(received), gift_deidentify::dataset::EXPLICIT_VR_LITTLE_ENDIAN];
        if !syntaxes.contains(&facts.transfer_syntax_uid.as_str()) {
            return Err("transfer syntax");
        }
        if facts.template.as_ref().is_some_and(|name| !self.names.templates.contains(name)) {
            return Err("template");
        }
        if !self.names.profiles.contains(&self.route.profile) {
            return Err("profile");
        }
        let linkage = match (self.given.linked(&facts.subject), self.domain) {
            (false, _) => None,
            (true, Some(domain)) => Some(Linkage { domain: domain.name.clone(), key_version: domain.key.version() }),
            (true, None) => return Err("linkage"),
        };
        let sha256 = release::sha256(output).map_err(|_| "output")?;
        let manifest = Manifest {
            version: WIRE_VERSION,
            object: ObjectId::parse(self.object).ok_or("item")?,
            sha256: Sha256Hex::parse(&sha256).ok_or("digest")?,
            size,
            sop_class_uid: facts.sop_class_uid.clone(),
            sop_instance_uid: facts.sop_instance_uid.clone(),
            study_instance_uid: facts.study_instance_uid.clone(),
            series_instance_uid: facts.series_instance_uid.clone(),
            transfer_syntax_uid: facts.transfer_syntax_uid.clone(),
            subject: facts.subject.clone(),
            project: self.route.project.clone(),
            certificate: Certificate {
                input_digest: Sha256Hex::parse(self.input_digest).ok_or("digest")?,
                profile: self.route.profile.clone(),
                key_version: self.key_version,
                linkage,
                actions: facts.actions,
                template: facts.template.clone(),
                frames_proven: facts.frames_proven,
                leak_patterns: facts.leak_patterns,
                made_ms: now_ms,
            },
        };
        manifest.check().map_err(|_| "manifest")?;
        Ok(manifest)
    }
}
