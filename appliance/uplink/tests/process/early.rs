//! A hub whose certificate is not valid yet: it is not talked to, and its chain goes to the clock's drop.

use std::fs;

use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    hub::{TestHub, TlsSetup},
    order::{taken, waiting},
    rig::Rig,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_valid_yet_is_refused_and_handed_over_once_a_while() {
    let setup = TlsSetup { from: Some(time::Duration::hours(30)), ..TlsSetup::sound() };
    let hub = TestHub::new(setup, time::Duration::days(30)).await;
    let directory = tempfile::tempdir().unwrap();
    let drop = directory.path().join("clock");
    for name in ["staging", "inbox", "aside"] {
        fs::create_dir_all(drop.join(name)).unwrap();
    }
    let table = format!("[clock]\nstaging = {:?}\ninbox = {:?}\n", drop.join("staging"), drop.join("inbox"));
    let mut rig = Rig::new(&hub, &table);
    rig.post(100);
    rig.start();
    rig.until("the chain handed over", |_| waiting(&drop) == 1).await;
    let pem = taken(&drop);
    let [certificate] = &CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap()[..] else {
        panic!("one certificate")
    };
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let from = certificate.validity().not_before.timestamp() - time::OffsetDateTime::now_utc().unix_timestamp();
    assert!((29 * 3600..31 * 3600).contains(&from), "{from}");
    // Tried again, refused again; not handed over each time.
    let connections = hub.state().connections;
    rig.until("more attempts", |_| hub.state().connections > connections + 2).await;
    assert_eq!(waiting(&drop), 0);
    assert!(hub.state().paths.is_empty(), "nothing was asked of it");
    assert!(hub.state().stored.is_empty());
}
