//! Start-up of the monitor, in order: keys, ledger, quarantine (made to agree), own directories, drop directories, policy.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use gift_service::now_ms;
use gift_spool::{Collector, Depositor, Limits};

use crate::{
    bundle::{Bundles, Signed},
    coder,
    error::DeidError,
    events,
    key::{Credential, DigestKey, Purpose, SiteKey},
    ledger::Ledger,
    linkage::Domain,
    policy::Policy,
    quarantine::{Quarantine, sealed::WrapKey},
    queue::Queue,
    reader::Reader,
    settings::{self, DEFAULT_KEY, Settings},
    shared::{Shared, State},
    work,
};

/// Most items that one look at the intake returns: more than one scanner's share of the quarantine, so that objects that
/// wait for room there do not hide the others.
const SCAN: usize = 100_000;
/// Longest time for trying the programs of the second look and of video, all of them: an image on trial has four minutes from power-on
/// (gift-update-check.service).
const TRY_TIMEOUT: Duration = Duration::from_secs(90);

/// What [`open`] opened.
#[derive(Debug)]
pub struct Opened {
    /// What main loop and lanes share.
    pub shared: Shared,
    /// Where policy bundles arrive, when the settings name a place.
    pub bundles: Option<Bundles>,
    /// The one in force.
    pub in_force: Option<Signed>,
}

/// Opens everything.
///
/// # Errors
/// Whatever is missing; the process must not serve.
pub fn open(settings: Settings) -> Result<Opened, DeidError> {
    events::second_look(settings.ocr.mode);
    let tried_by = Instant::now() + TRY_TIMEOUT;
    if let Some(reader) = Reader::of(&settings.ocr) {
        reader.try_out(Some(tried_by))?;
    }
    events::video(settings.video.mode);
    coder::try_out(&settings.video, tried_by)?;
    let own = quarantine_credential(&settings)?;
    let keys = site_keys(&settings)?;
    let domains = domains(&settings)?;
    let house = settings.house.clone();
    let in_house = |name: &str, make: fn(&Path) -> std::io::Result<()>| {
        let path = house.join(name);
        make(&path).map_err(DeidError::io("house")).map(|()| path)
    };
    in_house("work", work::make_empty)?;
    let quarantine_directory = in_house("quarantine", work::make)?;
    let set_aside = in_house("set-aside", work::make)?;
    let (ledger, damaged) = Ledger::open(&house.join("ledger.sqlite"))?;
    if damaged {
        events::ledger_damaged();
    }
    ledger.grow_older(now_ms())?;

    let wrap = WrapKey::new(own.version, own.derive(Purpose::QuarantineWrap));
    let (quarantine, mended) =
        Quarantine::open(&quarantine_directory, wrap, settings.quarantine.clone(), &ledger, now_ms())?;
    events::mended(mended);

    let limits = Limits { max_per_scan: SCAN, ..Limits::default() };
    let collector = Collector::open(&settings.intake_inbox, &set_aside, &settings::uids(&settings.intake_writers)?)?
        .with_limits(limits);
    let depositor = Depositor::open(&settings.release_staging, &settings.release_outbox)?;
    let recovered = depositor.recovered();
    events::recovered(recovered.posted, recovered.erased, recovered.damaged);

    let bundles = Bundles::open(&settings)?;
    let (in_force, policy) = policy(&settings, bundles.as_ref())?;
    let shared = Shared {
        keys,
        domains,
        fingerprint_key: DigestKey::new(&own, Purpose::Fingerprint),
        own: SiteKey::new(&own),
        collector,
        depositor,
        ledger,
        quarantine,
        queue: Queue::default(),
        set_aside,
        state: State::new(settings.workers.count),
        settings,
    };
    shared.set_policy(policy);
    shared.tally(|status| status.policy_serial = in_force.as_ref().map_or(0, |signed| signed.bundle.serial));
    shared.encrypt_all_aside()?;
    Ok(Opened { shared, bundles, in_force })
}

/// The policy of the image with the bundle that was in force on top. No policy where that bundle cannot be used any more: another
/// may arrive.
fn policy(settings: &Settings, bundles: Option<&Bundles>) -> Result<(Option<Signed>, Option<Policy>), DeidError> {
    let load = |bundle| {
        Policy::load(&settings.policy, settings.limits, &settings.routes, &settings.linkages, bundle)?
            .looked_at(&settings.ocr, &settings.video)
    };
    let signed = match bundles.map_or(Ok(None), Bundles::kept) {
        Ok(None) => return Ok((None, Some(said(load(None)?)))),
        Ok(Some(signed)) => signed,
        Err(refused) => {
            events::kept_bundle_unusable(&refused);
            return Ok((None, None));
        }
    };
    match load(Some(&signed.bundle)) {
        Ok(policy) => {
            events::bundle_in_force(signed.bundle.serial);
            Ok((Some(signed), Some(said(policy))))
        }
        // Only a newer one may follow.
        Err(error) => {
            events::kept_bundle_unusable(&error.into());
            Ok((Some(signed), None))
        }
    }
}

fn said(policy: Policy) -> Policy {
    events::policy_loaded(policy.names.profiles.len(), policy.names.templates.len());
    policy
}

fn load(settings: &Settings, name: &str) -> Result<Credential, DeidError> {
    Ok(Credential::load(&Credential::path(settings.key_file(name), name)?)?)
}

/// The credential that protects what stays on the box.
fn quarantine_credential(settings: &Settings) -> Result<Credential, DeidError> {
    load(settings, settings.quarantine.key.as_deref().unwrap_or(DEFAULT_KEY))
}

/// The keys that routes name.
fn site_keys(settings: &Settings) -> Result<BTreeMap<String, SiteKey>, DeidError> {
    let mut keys = BTreeMap::new();
    for route in &settings.routes {
        if !keys.contains_key(&route.key) {
            keys.insert(route.key.clone(), SiteKey::new(&load(settings, &route.key)?));
        }
    }
    Ok(keys)
}

/// The linkage domains that routes name.
fn domains(settings: &Settings) -> Result<BTreeMap<String, Domain>, DeidError> {
    let named = |name: &str| settings.routes.iter().any(|route| route.linkage.as_deref() == Some(name));
    let settings_of = settings.linkages.iter().filter(|linkage| named(&linkage.name));
    settings_of.map(|l| Ok((l.name.clone(), Domain::new(l, &load(settings, &l.key)?)))).collect()
}
