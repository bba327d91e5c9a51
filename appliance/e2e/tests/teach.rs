//! Hold, teach, release over the whole way: a format that the box does not know is held; a bundle signed offline goes to the hub,
//! the uplink brings it, and everything held arrives at the hub. Nobody touches the box.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::{collections::BTreeSet, io::Cursor, time::Duration};

use common::{Fixture, PATIENCE};
use gift_e2e::{
    outcome,
    rig::{Role, Signal},
};
use gift_wire::{Bundle, SignedBundle, WIRE_VERSION};
use minisign::KeyPair;

const TEMPLATE: &str = "demo/ge-voluson-e10";

fn signed(serial: u64, text: &str, by: &KeyPair) -> Vec<u8> {
    let bundle = Bundle {
        version: WIRE_VERSION,
        serial,
        created: "2026-01-01".into(),
        expires: "2999-12-31".into(),
        texts: [(format!("templates/{TEMPLATE}"), text.to_owned())].into(),
        withdrawn: BTreeSet::new(),
    };
    let bundle = serde_json::to_string(&bundle).unwrap();
    let signature = minisign::sign(None, &by.sk, Cursor::new(&bundle), None, None).unwrap().into_string();
    serde_json::to_vec(&SignedBundle { bundle, signature }).unwrap()
}

fn held(fixture: &Fixture) -> u64 {
    let status = fixture.rig.status(Role::Deid).unwrap_or_default();
    status["body"]["quarantine_objects"]["no-template"].as_u64().unwrap_or(0)
}

#[test]
fn a_signed_template_put_up_at_the_hub_releases_what_the_box_held() {
    let signer = KeyPair::generate_unencrypted_keypair().unwrap();
    let mut fixture = Fixture::with(7, 60, |options| options.policy_key = Some(signer.pk.to_base64()));
    let path = fixture.rig.root.join(format!("policy/templates/{TEMPLATE}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let reads = |rig: &gift_e2e::rig::Rig| {
        std::fs::read_to_string(rig.log(Role::Deid)).unwrap_or_default().matches("policy read").count()
    };
    let before = reads(&fixture.rig);
    assert!(fixture.rig.signal(Role::Deid, Signal::SIGHUP));
    fixture.rig.wait_until("the template to be gone", PATIENCE, |rig| reads(rig) > before).unwrap();

    let sent = fixture.set.send(&fixture.rig, 4).unwrap();
    assert!(sent.iter().all(|s| s.acknowledged));
    fixture.rig.wait_until("objects to be held", PATIENCE, |_| held(&fixture) > 0).unwrap();
    outcome::settle(&fixture.rig, PATIENCE).unwrap();
    let known = held(&fixture);

    // Signed by nobody whom the box knows: the hub carries it, the box refuses it.
    let stranger = KeyPair::generate_unencrypted_keypair().unwrap();
    fixture.rig.add_policy(&signed(1, &text, &stranger)).unwrap();
    let refused = |rig: &gift_e2e::rig::Rig| {
        rig.status(Role::Deid).is_some_and(|status| status["body"]["bundles_refused_total"] == 1)
    };
    fixture.rig.wait_until("the stranger's bundle to be refused", PATIENCE, refused).unwrap();
    assert_eq!(held(&fixture), known);

    fixture.rig.add_policy(&signed(2, &text, &signer)).unwrap();
    let entries: Vec<_> = fixture.set.key.objects.iter().collect();
    let taught = fixture
        .rig
        .wait_until("everything where the key says", Duration::from_secs(120), |rig| {
            outcome::faults(rig, &entries, false).is_ok_and(|faults| faults.is_empty())
        })
        .unwrap();
    println!("{known} objects held without the template; {taught:?} from the hub to the last of them");
    fixture.rig.wait_until("the quarantine to be smaller", PATIENCE, |_| held(&fixture) < known).unwrap();
    fixture.rig.stop_role(Role::Deid);
}
