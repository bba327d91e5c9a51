//! How the box comes by its certificate, keeps it, and says so when the hub no longer wants it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use gift_status::{EnrolmentState, HubLink};

use super::{
    hub::{TOKEN, TestHub, TlsSetup},
    rig::Rig,
};

#[tokio::test(flavor = "multi_thread")]
async fn enrols_once_a_token_is_there_and_never_again() {
    let hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    fs::remove_file(rig.path("token")).unwrap();
    let object_before_enrolment = rig.post(100);
    rig.start();
    rig.until("a place in the queue", |rig| rig.status().queue_objects == 1).await;
    assert_eq!(rig.status().enrolment, EnrolmentState::None);
    fs::write(rig.path("token"), "wrong").unwrap();
    rig.until("an attempt", |_| !hub.state().paths.is_empty()).await;
    fs::write(rig.path("token"), TOKEN).unwrap();
    rig.until_drained(&hub, 1).await;
    assert!(hub.state().stored.contains_key(&object_before_enrolment));
    rig.terminate();

    fs::remove_file(rig.path("token")).unwrap();
    rig.start();
    rig.post(100);
    rig.until_drained(&hub, 2).await;
    assert_eq!(hub.state().enrolments, 1);
    for name in rig.names("uplink/identity") {
        let mode = fs::metadata(rig.path("uplink/identity").join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!rig.log().contains(TOKEN) && !rig.log().contains("BEGIN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_box_asks_until_the_hub_is_there() {
    let mut hub = TestHub::sound().await;
    hub.down().await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("the link", |rig| rig.status().hub == HubLink::Unreachable).await;
    hub.up().await;
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_the_hub_refuses_shows_and_a_new_token_mends_it() {
    let hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
    hub.state().revoked = true;
    rig.post(100);
    rig.until("the refusal, and nothing forgotten", |rig| {
        let status = rig.status();
        status.enrolment == EnrolmentState::Refused && status.queue_objects == 1
    })
    .await;
    *hub.shared.token.lock().unwrap() = ("second-token".into(), None);
    fs::write(rig.path("token"), "second-token").unwrap();
    rig.until("another enrolment", |_| hub.state().enrolments == 2).await;
    hub.state().revoked = false;
    rig.until_drained(&hub, 1).await;
    rig.until("the status", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_refused_in_the_handshake_shows() {
    let setup = TlsSetup { trust_devices: false, ..TlsSetup::sound() };
    let hub = TestHub::new(setup, time::Duration::days(30)).await;
    let mut rig = Rig::new(&hub, "");
    rig.post(100);
    rig.start();
    rig.until("the refusal", |rig| rig.status().enrolment == EnrolmentState::Refused).await;
    assert!(hub.state().asked.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_shows_and_is_replaced_with_the_token_that_it_was_had_for() {
    let hub = TestHub::new(TlsSetup::sound(), time::Duration::minutes(-1)).await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("the refusal", |rig| rig.status().enrolment == EnrolmentState::Refused).await;
    let status = rig.status();
    assert!(status.certificate_not_after_ms > 0 && status.certificate_not_after_ms < gift_service::now_ms());
    rig.post(100);
    rig.terminate();
    *hub.shared.valid.lock().unwrap() = time::Duration::days(30);
    rig.start();
    rig.until("another enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
    rig.until_drained(&hub, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_renewed_when_a_third_of_its_validity_is_left() {
    // Valid since an hour ago and for ten minutes more.
    let hub = TestHub::new(TlsSetup::sound(), time::Duration::minutes(10)).await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
    let first = rig.status().certificate_not_after_ms;
    *hub.shared.valid.lock().unwrap() = time::Duration::days(30);
    rig.until("renewal", |rig| rig.status().certificate_not_after_ms > first).await;
    rig.post(100);
    rig.until_drained(&hub, 1).await;
    rig.terminate();
    rig.start();
    rig.until("the stored one", |rig| rig.status().certificate_not_after_ms > first).await;
    assert_eq!(hub.state().enrolments, 1);
    assert!(hub.state().renewals >= 1);
}
