//! Enrolment, upload with mTLS, query and retrieval; what must be refused; what must be isolated; crashes. The real binary and
//! real clients.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeSet;

use common::{Device, Hub, PASSWORD, Setup, request_enrolment, samples};
use gift_wire::{Receipt, status::HoldReason};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use reqwest::StatusCode;

#[tokio::test]
async fn an_object_goes_in_once_and_comes_out_unchanged() {
    let mut hub = Hub::start(&Setup::default());
    hub.add_user("ada", "researcher");
    let device = hub.enrol("ward-1").await;
    let bytes = samples::released(1).file();
    let manifest = samples::manifest(1, &bytes);

    let first = device.store(&manifest, &bytes).await;
    assert!(first.matches(&manifest) && !first.duplicate && first.isolated.is_none());
    let again = device.store(&manifest, &bytes).await;
    assert_eq!(again, Receipt { duplicate: true, ..first.clone() });
    assert_eq!((hub.count("instances"), hub.count("subjects")), (1, 1));

    let get = |path: &str, accept: &str| {
        let request = hub.client().get(format!("{}/dicomweb{path}", hub.web)).header("accept", accept);
        request.basic_auth("ada", Some(PASSWORD)).send()
    };
    let json = "application/dicom+json";
    let studies: serde_json::Value =
        get("/studies?PatientID=FETAL-00001&ModalitiesInStudy=CT&StudyDate=20240101-", json)
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
    assert_eq!(studies[0]["00100020"]["Value"][0], "FETAL-00001");
    assert_eq!(studies[0]["00201208"]["Value"][0], 1);
    for empty in ["PatientID=FETAL-00002", "StudyDate=-20240101", "Modality=US", "SOPInstanceUID=1.2"] {
        assert_eq!(get(&format!("/studies?{empty}"), json).await.unwrap().status(), StatusCode::NO_CONTENT, "{empty}");
    }
    for (path, accept, status) in [
        ("/studies?NoSuchAttribute=1", json, StatusCode::BAD_REQUEST),
        ("/studies?limit=x", json, StatusCode::BAD_REQUEST),
        ("/studies?StudyDate=yesterday", json, StatusCode::BAD_REQUEST),
        ("/studies", "application/dicom+xml", StatusCode::NOT_ACCEPTABLE),
        ("/studies/1.2.3", "*/*", StatusCode::NOT_FOUND),
        ("/studies/2.25.1000001/series/2.25.9", "*/*", StatusCode::NOT_FOUND),
        ("/studies/2.25.1000001", "image/png", StatusCode::NOT_ACCEPTABLE),
        (
            "/studies/2.25.1000001",
            "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.4.50",
            StatusCode::NOT_ACCEPTABLE,
        ),
        ("/nothing", json, StatusCode::NOT_FOUND),
    ] {
        let response = get(path, accept).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
    }
    let instance = "/studies/2.25.1000001/series/2.25.2000001/instances/2.25.3000001";
    let single = get(instance, "application/dicom").await.unwrap().bytes().await.unwrap();
    assert_eq!(single, bytes);
    let multi = get(instance, "multipart/related; type=\"application/dicom\"; transfer-syntax=*").await.unwrap();
    assert!(
        multi.headers()["content-type"].to_str().unwrap().starts_with("multipart/related; type=\"application/dicom\"")
    );
    let multi = multi.bytes().await.unwrap();
    assert!(multi.windows(bytes.len()).any(|window| window == bytes));
    let metadata: serde_json::Value = get(&format!("{instance}/metadata"), json).await.unwrap().json().await.unwrap();
    assert_eq!(metadata[0]["00100020"]["Value"][0], "FETAL-00001");
    assert_eq!(metadata[0]["00080018"]["Value"][0], "2.25.3000001");

    let no_login = hub.client().get(format!("{}/dicomweb/studies", hub.web)).send().await.unwrap();
    assert_eq!(no_login.status(), StatusCode::UNAUTHORIZED);
    assert!(no_login.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));

    assert!(hub.admin(&["verify-audit"], "").1.starts_with("whole: "));
    assert!(hub.terminate().success(), "SIGTERM is a clean end");
    hub.run();
    let device = Device { boxes: hub.boxes.clone(), ..device };
    assert!(device.store(&manifest, &bytes).await.duplicate, "still known after a restart");
}

#[tokio::test]
async fn bytes_that_are_not_the_manifests_are_refused_and_leave_nothing() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let bytes = samples::released(1).file();
    let manifest = samples::manifest(1, &bytes);
    let mut altered = bytes.clone();
    altered[400] ^= 1;
    assert_eq!(device.upload(&manifest, &altered).await.unwrap().status(), StatusCode::CONFLICT);
    assert_eq!(device.upload(&manifest, &bytes[..300]).await.unwrap().status(), StatusCode::CONFLICT);
    let longer = [bytes.clone(), vec![0]].concat();
    assert_eq!(device.upload(&manifest, &longer).await.unwrap().status(), StatusCode::CONFLICT);
    let mut version = manifest.clone();
    version.version = 99;
    assert_eq!(device.upload(&version, &bytes).await.unwrap().status(), StatusCode::BAD_REQUEST);
    let response = device
        .client
        .post(format!("{}/box/v1/studies", hub.boxes))
        .header("content-type", "application/dicom")
        .body(bytes.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!((hub.count("instances"), hub.count("isolated")), (0, 0));
    assert_eq!(std::fs::read_dir(hub.data("incoming")).unwrap().count(), 0);
    assert!(!device.store(&manifest, &bytes).await.duplicate);
}

#[tokio::test]
async fn what_breaks_the_profile_or_contradicts_is_kept_apart() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "admin");
    let device = hub.enrol("ward-1").await;

    let leaking = samples::released(1).element((0x0010, 0x1000), "LO", b"4857773456").sorted().file();
    let manifest = samples::manifest(1, &leaking);
    let response = device.upload(&manifest, &leaking).await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let receipt = common::receipt(&response);
    assert!(receipt.matches(&manifest));
    assert_eq!(receipt.isolated, Some(HoldReason::RefusedByHub));
    assert!(device.store(&manifest, &leaking).await.duplicate, "kept once");
    assert_eq!((hub.count("instances"), hub.count("isolated")), (0, 1));

    let bytes = samples::released(2).file();
    device.store(&samples::manifest(2, &bytes), &bytes).await;
    let other = samples::released(2).element((0x0028, 0x0010), "US", &[9, 0]).sorted().file();
    let conflict = device.store(&samples::manifest(2, &other), &other).await;
    assert_eq!(conflict.isolated, Some(HoldReason::RefusedByHub));

    // The study of object 2 under another subject.
    let stray = samples::released(3)
        .element((0x0020, 0x000D), "UI", b"2.25.1000002")
        .element((0x0010, 0x0010), "PN", "f".repeat(32).as_bytes())
        .element((0x0010, 0x0020), "LO", "f".repeat(32).as_bytes())
        .sorted()
        .file();
    let mut stray_manifest = samples::manifest(3, &stray);
    stray_manifest.study_instance_uid = "2.25.1000002".to_owned();
    stray_manifest.subject = "f".repeat(32);
    assert_eq!(device.store(&stray_manifest, &stray).await.isolated, Some(HoldReason::RefusedByHub));

    let not_dicom = b"%PDF-1.7 and so on".repeat(40);
    assert!(device.store(&samples::manifest(4, &not_dicom), &not_dicom).await.isolated.is_some());

    assert_eq!((hub.count("instances"), hub.count("isolated")), (1, 4));
    for bytes in [&leaking, &other, &stray, &not_dicom] {
        let sha = samples::manifest(1, bytes).sha256;
        let kept = hub.data(&format!("isolated/{}/{sha}.dcm", &sha.as_str()[..2]));
        assert_eq!(&std::fs::read(kept).unwrap(), bytes);
        // What contradicts a stored object keeps a name in the archive, for the same bytes may have a row there; without one it
        // is never served (the count above). What fails the check never gets there.
        let placed = hub.data(&format!("archive/{}/{sha}.dcm", &sha.as_str()[..2])).exists();
        assert_eq!(placed, bytes == &other || bytes == &stray);
    }
    let found: serde_json::Value = hub
        .client()
        .get(format!("{}/dicomweb/instances", hub.web))
        .basic_auth("ada", Some(PASSWORD))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1, "isolated objects are not served");
    assert!(!hub.log().contains("4857773456"), "no value in the log");
}

#[tokio::test]
async fn only_the_hubs_own_living_certificates_are_taken() {
    let hub = Hub::start(&Setup::default());
    let bytes = samples::released(1).file();
    let manifest = samples::manifest(1, &bytes);

    let bare = Device { client: hub.client(), boxes: hub.boxes.clone() };
    assert_eq!(bare.upload(&manifest, &bytes).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let health = bare.client.post(format!("{}/box/v1/health", hub.boxes)).body("{}").send().await.unwrap();
    assert_eq!(health.status(), StatusCode::UNAUTHORIZED);

    let issuing_pem = std::fs::read_to_string(hub.data("pki/issuing.pem")).unwrap();
    let issuing_key = || KeyPair::from_pem(&std::fs::read_to_string(hub.data("pki/issuing.key")).unwrap()).unwrap();
    let own_ca = || Issuer::from_ca_cert_pem(&issuing_pem, issuing_key()).unwrap();
    let params = |usage, end: i32| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "ward-1");
        params.extended_key_usages = vec![usage];
        params.not_after = rcgen::date_time_ymd(end, 1, 1);
        params
    };
    let with = |params: &CertificateParams, issuer: &Issuer<'static, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        Device::new(&hub, &format!("{}{issuing_pem}", certificate.pem()), &key)
    };

    let mut foreign_ca = CertificateParams::default();
    foreign_ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let foreign = Issuer::new(foreign_ca, KeyPair::generate().unwrap());
    let client_auth = ExtendedKeyUsagePurpose::ClientAuth;
    let wrong_ca = with(&params(client_auth.clone(), 2040), &foreign);
    assert!(wrong_ca.upload(&manifest, &bytes).await.is_err(), "another CA: refused by TLS");
    let expired = with(&params(client_auth.clone(), 2020), &own_ca());
    assert!(expired.upload(&manifest, &bytes).await.is_err(), "expired: refused by TLS");
    let server = with(&params(ExtendedKeyUsagePurpose::ServerAuth, 2040), &own_ca());
    assert!(server.upload(&manifest, &bytes).await.is_err(), "a server's key usage: refused by TLS");
    let forged = with(&params(client_auth, 2040), &own_ca());
    let answer = forged.upload(&manifest, &bytes).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "signed by our CA but never issued");

    let device = hub.enrol("ward-1").await;
    device.store(&manifest, &bytes).await;
    assert!(hub.admin(&["revoke-box", "ward-1"], "").0);
    let answer = device.upload(&manifest, &bytes).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "revoked: refused on the living connection");
    assert_eq!(hub.count("instances"), 1);
}

#[tokio::test]
async fn a_token_enrols_one_key_and_a_certificate_renews_itself() {
    let hub = Hub::start(&Setup::default());
    let token = hub.token("ward-1");
    let (key, thief) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let ask = |token: String, key: &KeyPair| {
        let key = KeyPair::from_pem(&key.serialize_pem()).unwrap();
        let hub = &hub;
        async move { request_enrolment(hub, &hub.client(), &token, &key).await }
    };
    assert_eq!(ask("wrong".to_owned(), &key).await.status(), StatusCode::FORBIDDEN);
    let first = ask(token.clone(), &key).await;
    assert_eq!(first.status(), StatusCode::OK);
    let response: gift_wire::EnrolResponse = first.json().await.unwrap();
    assert_eq!(ask(token.clone(), &thief).await.status(), StatusCode::FORBIDDEN, "spent");
    assert_eq!(ask(token, &key).await.status(), StatusCode::OK, "the same key repeats after a lost answer");
    assert_eq!(ask(String::new(), &thief).await.status(), StatusCode::UNAUTHORIZED, "renewal needs a certificate");

    let device = Device::new(&hub, &response.certificate_pem, &key);
    let other = request_enrolment(&hub, &device.client, "", &thief).await;
    assert_eq!(other.status(), StatusCode::FORBIDDEN, "whoever uses the box's key for a while gets no other certified");
    let renewed = request_enrolment(&hub, &device.client, "", &key).await;
    assert_eq!(renewed.status(), StatusCode::OK);
    let renewed: gift_wire::EnrolResponse = renewed.json().await.unwrap();
    let bytes = samples::released(1).file();
    Device::new(&hub, &renewed.certificate_pem, &key).store(&samples::manifest(1, &bytes), &bytes).await;
    assert!(!hub.log().contains("wrong"), "no token in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_any_time_loses_nothing_that_was_receipted_and_stores_once() {
    const OBJECTS: u32 = 60;
    let mut hub = Hub::start(&Setup::default());
    let mut device = hub.enrol("ward-1").await;
    let objects: Vec<_> = (1..=OBJECTS)
        .map(|n| {
            let bytes = samples::released(n).element((0x7FE0, 0x0010), "OW", &vec![0; 200_000]).sorted().file();
            (samples::manifest(n, &bytes), bytes)
        })
        .collect();
    let mut receipts: Vec<Option<Receipt>> = vec![None; objects.len()];
    let mut killed_busy = 0;
    for round in 0..12_u64 {
        let uploads: Vec<_> = objects
            .iter()
            .enumerate()
            .filter(|(n, _)| receipts[*n].is_none())
            .map(|(n, (manifest, bytes))| {
                let (client, boxes) = (device.client.clone(), device.boxes.clone());
                let (manifest, bytes) = (manifest.clone(), bytes.clone());
                tokio::spawn(async move {
                    let response = Device { client, boxes }.upload(&manifest, &bytes).await.ok()?;
                    response.status().is_success().then(|| (n, common::receipt(&response)))
                })
            })
            .collect();
        if uploads.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(15 + round * 9)).await;
        hub.kill();
        let mut unfinished = 0;
        for upload in uploads {
            match upload.await.unwrap() {
                Some((n, receipt)) => receipts[n] = Some(receipt),
                None => unfinished += 1,
            }
        }
        killed_busy += u32::from(unfinished > 0);
        hub.run();
        device.boxes.clone_from(&hub.boxes);
    }
    assert!(killed_busy >= 3, "only {killed_busy} kills met uploads under way");

    // Everything again, as a box does that lost its receipts: nothing is stored twice, and no receipt was a lie.
    for ((manifest, bytes), earlier) in objects.iter().zip(&receipts) {
        let receipt = loop {
            let response = device.upload(manifest, bytes).await.unwrap();
            if response.status().is_success() {
                break common::receipt(&response);
            }
        };
        if let Some(earlier) = earlier {
            assert!(receipt.duplicate);
            assert_eq!((receipt.commit, receipt.committed_ms), (earlier.commit, earlier.committed_ms));
        }
    }
    assert_eq!((hub.count("instances"), hub.count("isolated"), hub.count("subjects")), (u64::from(OBJECTS), 0, 1));
    let commits: BTreeSet<u64> = {
        let database = hub.database();
        let mut statement = database.prepare("SELECT commit_number FROM instances").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(commits.len(), OBJECTS as usize);
    for (manifest, bytes) in &objects {
        let sha = &manifest.sha256;
        let file = hub.data(&format!("archive/{}/{sha}.dcm", &sha.as_str()[..2]));
        assert_eq!(&std::fs::read(file).unwrap(), bytes);
    }
    assert!(hub.admin(&["verify-audit"], "").0);
}

#[tokio::test]
async fn a_policy_bundle_is_given_to_enrolled_boxes_only_and_only_forward() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let ask = |tag: &str| {
        let request = device.client.get(format!("{}/box/v1/policy", hub.boxes));
        if tag.is_empty() { request } else { request.header("if-none-match", tag) }.send()
    };
    assert_eq!(ask("").await.unwrap().status(), StatusCode::NOT_FOUND);
    let put = |serial: u64| {
        let bundle = format!(
            r#"{{"version":1,"serial":{serial},"created":"2026-11-28","expires":"2027-11-28","texts":{{}},"withdrawn":[]}}"#
        );
        let carried = serde_json::to_vec(&serde_json::json!({ "bundle": bundle, "signature": "s" })).unwrap();
        let path = hub.directory.path().join("bundle.json");
        std::fs::write(&path, &carried).unwrap();
        let (ok, said) = hub.admin(&["add-policy", path.to_str().unwrap()], "");
        (ok, said, carried)
    };
    let (ok, said, first) = put(3);
    assert!(ok && said == "serial 3\n", "{said}");
    let answer = ask("").await.unwrap();
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(answer.bytes().await.unwrap(), first);
    assert_eq!(ask(&tag).await.unwrap().status(), StatusCode::NOT_MODIFIED);
    assert!(!put(3).0 && !put(2).0, "older");
    assert!(put(4).0);
    assert_eq!(ask(&tag).await.unwrap().status(), StatusCode::OK);
    std::fs::write(hub.directory.path().join("none.json"), "{}").unwrap();
    assert!(!hub.admin(&["add-policy", "none.json"], "").0);
    let stranger = hub.client().get(format!("{}/box/v1/policy", hub.boxes)).send().await;
    assert!(stranger.map_or(true, |answer| answer.status() == StatusCode::UNAUTHORIZED));
    assert!(hub.admin(&["verify-audit"], "").1.starts_with("whole: "));
}

#[tokio::test]
async fn a_canary_is_checked_noted_and_neither_kept_nor_served() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "admin");
    let device = hub.enrol("ward-1").await;
    let files = |place: &str| {
        let directories = std::fs::read_dir(hub.data(place)).unwrap().map(|d| d.unwrap().path());
        directories.map(|directory| std::fs::read_dir(directory).unwrap().count()).sum::<usize>()
    };
    let page = || async {
        let login = common::log_in(&hub, &hub.client(), "ada", PASSWORD).await;
        common::get(&hub, "/", &common::cookie(&login)).await.text().await.unwrap()
    };

    let good = samples::canary(1, |_| {}).file();
    let manifest = samples::canary_manifest(1, &good);
    let receipt = device.store(&manifest, &good).await;
    assert!(receipt.matches(&manifest) && receipt.isolated.is_none() && !receipt.duplicate);
    let again = device.store(&manifest, &good).await;
    assert_eq!(again, Receipt { duplicate: true, ..receipt.clone() }, "a receipt that was lost is given again");
    let next = samples::canary(2, |_| {}).file();
    assert!(device.store(&samples::canary_manifest(2, &next), &next).await.commit > receipt.commit);
    assert_eq!((files("archive"), files("isolated")), (0, 0), "nothing is kept");
    assert_eq!(std::fs::read_dir(hub.data("incoming")).unwrap().count(), 0);
    assert!(page().await.contains("passed <time"));

    // One planted value, one dot of print, one changed pixel; an attribute that every object must lose; somebody's object.
    let planted = samples::canary(3, |_| {}).element((0x0008, 0x103E), "LO", b"echo ZebraFinch").sorted().file();
    let printed = samples::canary(4, |pixels| pixels[600] = 255).file();
    let changed = samples::canary(5, |pixels| pixels[320 * 3 * 100] ^= 1).file();
    let identified = samples::canary(6, |_| {}).element((0x0010, 0x1000), "LO", b"4857773456").sorted().file();
    for (number, bytes) in (3..).zip([&planted, &printed, &changed, &identified]) {
        let receipt = device.store(&samples::canary_manifest(number, bytes), bytes).await;
        assert_eq!(receipt.isolated, Some(HoldReason::RefusedByHub), "{number}");
    }
    let other = samples::released(7).file();
    let mut hidden = samples::manifest(7, &other);
    hidden.project = gift_wire::CANARY_PROJECT.to_owned();
    assert!(device.store(&hidden, &other).await.isolated.is_some(), "what is no canary cannot be made to vanish");
    assert_eq!((files("archive"), files("isolated")), (0, 5));
    let failing = page().await;
    for words in
        ["failed <time", "its canary failed", "canary-planted", "canary-print", "canary-picture", "5 objects isolated"]
    {
        assert!(failing.contains(words), "{words}: {failing}");
    }

    for table in ["instances", "series", "studies", "subjects"] {
        assert_eq!(hub.count(table), 0, "{table}");
    }
    for path in ["/studies", "/series", "/instances"] {
        let get = hub.client().get(format!("{}/dicomweb{path}", hub.web)).basic_auth("ada", Some(PASSWORD));
        assert_eq!(get.send().await.unwrap().status(), StatusCode::NO_CONTENT, "{path}");
    }

    let last = samples::canary(8, |_| {}).file();
    assert!(device.store(&samples::canary_manifest(8, &last), &last).await.isolated.is_none());
    assert!(page().await.contains("passed <time"), "it works again");
    let actions = |action: &str| -> u64 {
        let query = "SELECT count(*) FROM audit WHERE action = ?1 AND actor = 'box:ward-1'";
        hub.database().query_row(query, [action], |row| row.get(0)).unwrap()
    };
    assert_eq!((actions("canary-passed"), actions("canary-failed"), actions("isolate")), (3, 5, 5));
    assert!(hub.admin(&["verify-audit"], "").1.starts_with("whole: "));
    assert!(!hub.log().to_lowercase().contains("zebrafinch"), "no value in the log");
}
