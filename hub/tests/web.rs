//! The web listener: who gets in, what every response carries, pages that hold whatever a data set holds, limits on guessing.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Instant;

use common::{Hub, PASSWORD, Setup, cookie, get, log_in, samples};
use reqwest::StatusCode;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

#[tokio::test]
async fn sessions_roles_and_forgery() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "admin");
    hub.add_user("rob", "researcher");
    let client = hub.client();

    let without = client.get(&hub.web).send().await.unwrap();
    assert_eq!((without.status(), without.headers()["location"].as_bytes()), (StatusCode::SEE_OTHER, &b"/login"[..]));

    let forged = client
        .post(format!("{}/login", hub.web))
        .header("origin", "https://evil.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=ada&password=x")
        .send()
        .await
        .unwrap();
    assert_eq!(forged.status(), StatusCode::FORBIDDEN, "a form on another site");

    let entered = log_in(&hub, &client, "ada", PASSWORD).await;
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
    let set = entered.headers()["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("__Host-"));
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(set.contains(attribute), "{set}");
    }
    let ada = cookie(&entered);
    let rob = cookie(&log_in(&hub, &client, "rob", PASSWORD).await);
    for (path, of_ada, of_rob) in
        [("/", 200, 200), ("/subjects", 200, 200), ("/audit", 200, 403), ("/audit?verify=true", 200, 403)]
    {
        assert_eq!(get(&hub, path, &ada).await.status(), of_ada, "{path}");
        assert_eq!(get(&hub, path, &rob).await.status(), of_rob, "{path}");
        assert_eq!(get(&hub, path, "__Host-gift-session=guess").await.status(), 303, "{path}");
    }
    let audit = get(&hub, "/audit?verify=true", &ada).await.text().await.unwrap();
    assert!(audit.contains("The trail is whole") && audit.contains("user:rob"), "{audit}");

    let logout = |origin: &'static str| {
        let request = hub.client().post(format!("{}/logout", hub.web)).header("cookie", &ada);
        request.header("sec-fetch-site", origin).send()
    };
    assert_eq!(logout("cross-site").await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(get(&hub, "/", &ada).await.status(), 200);
    assert_eq!(logout("same-origin").await.unwrap().status(), StatusCode::SEE_OTHER);
    assert_eq!(get(&hub, "/", &ada).await.status(), 303, "the session is over, whoever kept the cookie");

    hub.add_user("rob", "researcher");
    assert_eq!(get(&hub, "/", &rob).await.status(), 303, "a new password ends old sessions");
    let hashes: Vec<u8> =
        hub.database().query_row("SELECT hash FROM sessions UNION SELECT zeroblob(32)", [], |r| r.get(0)).unwrap();
    assert_eq!(hashes.len(), 32);
}

#[tokio::test]
async fn every_response_carries_the_policy() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "admin");
    let ada = cookie(&log_in(&hub, &hub.client(), "ada", PASSWORD).await);
    for path in [
        "/",
        "/login",
        "/subjects",
        "/subjects/x",
        "/studies/1",
        "/series/1",
        "/instances/1/download",
        "/audit",
        "/style.css",
        "/healthz",
        "/dicomweb/studies",
        "/dicomweb/studies/1",
        "/dicomweb/x",
        "/none",
        "/%00",
        "/..%2f",
        "/subjects/%ff",
        "/audit?before=x",
    ] {
        for cookie in ["", &ada] {
            let response = get(&hub, path, cookie).await;
            let headers = response.headers();
            assert_eq!(headers["content-security-policy"], POLICY, "{path}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert!(headers.contains_key("strict-transport-security"), "{path}");
            assert!(headers.contains_key("cache-control"), "{path}");
            assert!(!response.status().is_server_error(), "{path}");
            if response.status().is_client_error() {
                assert_eq!(headers["content-type"], "application/problem+json", "{path}");
            }
            let text = response.text().await.unwrap();
            assert!(!text.contains("<script") && !text.contains("style=") && !text.contains("onclick"), "{path}");
        }
    }
    assert_eq!(hub.client().get(format!("{}/healthz", hub.web)).send().await.unwrap().text().await.unwrap(), "ready\n");
}

#[tokio::test]
async fn who_is_not_on_the_list_is_cut_before_tls() {
    let hub = Hub::start(&Setup { allow: "\"192.0.2.0/24\", \"2001:db8::/32\"", ..Setup::default() });
    let answer = hub.client().get(format!("{}/login", hub.web)).header("x-forwarded-for", "192.0.2.1").send().await;
    assert!(answer.is_err(), "the connection is closed, whatever X-Forwarded-For says");
    let deadline = Instant::now() + std::time::Duration::from_secs(10);
    while !hub.log().contains("outside the allow-list") {
        assert!(Instant::now() < deadline, "{}", hub.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let enrol = hub.client().post(format!("{}/box/v1/enrol", hub.boxes)).body("{}").send().await.unwrap();
    assert_eq!(enrol.status(), StatusCode::BAD_REQUEST, "boxes are not behind that list");
}

#[tokio::test]
async fn guessing_is_slowed_and_told_nothing() {
    // The eleven failures until all is measured cost no waiting.
    let hub = Hub::start(&Setup { more: "[throttle]\nfree-failures = 12\n".into(), ..Setup::default() });
    hub.add_user("ada", "researcher");
    let client = hub.client();
    // The first connects, and is not measured.
    assert_eq!(log_in(&hub, &client, "nobody", "wrong password").await.status(), StatusCode::UNAUTHORIZED);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut bodies = Vec::new();
    for n in 0..5 {
        for (name, times) in [("ada", &mut known), ("nobody", &mut unknown)] {
            let start = Instant::now();
            let response = log_in(&hub, &client, name, &format!("wrong password {n}")).await;
            times.push(start.elapsed());
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            bodies.push(response.text().await.unwrap());
        }
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same page for both");
    let (a, b) = (known.iter().min().unwrap(), unknown.iter().min().unwrap());
    assert!(a.as_secs_f64() < 3.0 * b.as_secs_f64() && b.as_secs_f64() < 3.0 * a.as_secs_f64(), "{a:?} {b:?}");

    let mut limited = None;
    for n in 0..8 {
        let response = log_in(&hub, &client, "ada", &format!("wrong password {n}")).await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            limited = Some((n, response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
            break;
        }
    }
    // One that is over before the next attempt comes, as on a slow machine, is followed by twice that.
    let (failed, wait) = limited.unwrap();
    let longest = (1_u64 << failed) >> 1;
    assert!((1..=longest).contains(&wait), "the wait begins at one second: {wait} s after {failed} more failures");
    let mut basic = StatusCode::OK;
    for _ in 0..6 {
        let request = client.get(format!("{}/dicomweb/studies", hub.web)).basic_auth("ada", Some("x"));
        basic = request.send().await.unwrap().status();
        if basic == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(basic, StatusCode::TOO_MANY_REQUESTS, "one throttle for both ways in");
    let names: u64 = hub
        .database()
        .query_row("SELECT count(*) FROM audit WHERE action = 'login-failed' AND actor = 'unknown'", [], |r| r.get(0))
        .unwrap();
    assert!(names >= 2, "failures are in the trail, names that are nobody's are not");
    assert!(!hub.log().contains("nobody"), "{}", hub.log());
}

#[tokio::test]
async fn a_basic_credential_is_hashed_once_and_forgotten_with_its_password() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "researcher");
    let client = hub.client();
    let ask = |password: &'static str| {
        client.get(format!("{}/dicomweb/studies", hub.web)).basic_auth("ada", Some(password)).send()
    };
    assert_eq!(ask(PASSWORD).await.unwrap().status(), StatusCode::NO_CONTENT);
    for _ in 0..20 {
        assert_eq!(ask(PASSWORD).await.unwrap().status(), StatusCode::NO_CONTENT);
    }
    let logins: u64 =
        hub.database().query_row("SELECT count(*) FROM audit WHERE action = 'login-ok'", [], |row| row.get(0)).unwrap();
    assert_eq!(logins, 1, "verified once, remembered after");
    assert_eq!(ask("something else altogether").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(hub.admin(&["add-user", "ada", "--role", "researcher"], "another long password\n").0);
    assert_eq!(ask(PASSWORD).await.unwrap().status(), StatusCode::UNAUTHORIZED, "the old password is out at once");
    assert_eq!(ask("another long password").await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn administration_refuses_what_it_must() {
    let hub = Hub::start(&Setup::default());
    assert!(!hub.admin(&["add-user", "ada", "--role", "admin"], "short\n").0);
    assert!(!hub.admin(&["add-user", "Ada <b>", "--role", "admin"], &format!("{PASSWORD}\n")).0);
    assert!(!hub.admin(&["add-user", "ada", "--role", "root"], &format!("{PASSWORD}\n")).0);
    assert!(!hub.admin(&["add-box", "../x"], "").0);
    assert!(!hub.admin(&["revoke-box", "none"], "").0);
    assert_eq!(hub.count("users") + hub.count("boxes"), 0);
    assert!(hub.admin(&["root-certificate"], "").1.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn hostile_text_in_a_data_set_is_shown_and_does_nothing() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "admin");
    let device = hub.enrol("ward-1").await;
    let payloads = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'-alert(1)-'",
        "javascript:alert(1)",
        "</td></table><iframe src=//x>",
        "<svg/onload=alert(1)>",
        "{{7*7}}${7*7}",
        "=cmd|' /C calc'!A0",
        "&lt;b&gt;",
        "\u{202e}gpj.exe",
    ];
    for (number, payload) in (1..).zip(payloads) {
        let bytes = samples::released(number)
            .element((0x0008, 0x1030), "LO", payload.as_bytes())
            .element((0x0008, 0x103E), "LO", payload.as_bytes())
            .element((0x0008, 0x0060), "CS", b"<B>")
            .element((0x0020, 0x0011), "IS", b"<I>")
            .element((0x0020, 0x0013), "IS", b"\"><U>")
            .sorted()
            .file();
        let receipt = device.store(&samples::manifest(number, &bytes), &bytes).await;
        assert!(receipt.isolated.is_none(), "{payload}");
    }
    let ada = cookie(&log_in(&hub, &hub.client(), "ada", PASSWORD).await);
    let mut texts = Vec::new();
    for path in ["/".to_owned(), "/subjects".to_owned(), "/subjects/FETAL-00001".to_owned(), "/audit".to_owned()]
        .into_iter()
        .chain((1..=payloads.len()).flat_map(|n| [format!("/studies/2.25.1{n:06}"), format!("/series/2.25.2{n:06}")]))
    {
        let response = get(&hub, &path, &ada).await;
        assert_eq!(response.status(), 200, "{path}");
        texts.push(response.text().await.unwrap());
    }
    let all = texts.join("\n");
    for bad in ["<script", "<img", "<iframe", "<svg", "<B>", "<I>", "<U>", "onerror=alert(1)>"] {
        assert!(!all.contains(bad), "{bad} came through");
    }
    assert!(all.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "shown as text");

    let download = get(&hub, "/instances/2.25.3000001/download", &ada).await;
    assert_eq!(download.headers()["content-disposition"], "attachment; filename=\"2.25.3000001.dcm\"");
    assert_eq!(download.headers()["content-type"], "application/dicom");
    let bytes = download.bytes().await.unwrap();
    assert_eq!(&bytes[128..132], b"DICM");

    // QIDO-RS gives the same text as JSON, and a filter is a value, not SQL.
    let query = |filter: &str| {
        let url = format!("{}/dicomweb/studies?{filter}", hub.web);
        hub.client().get(url).header("cookie", &ada).send()
    };
    assert_eq!(query("StudyDescription=%27%20OR%20%271%27=%271").await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(query("StudyDescription=%5B%5D*").await.unwrap().status(), StatusCode::NO_CONTENT);
    let found: serde_json::Value = query("StudyDescription=*alert*").await.unwrap().json().await.unwrap();
    assert_eq!(found.as_array().unwrap().len(), 5);
}
