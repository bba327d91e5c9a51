//! Signed orders: put up by a command, given to the one box that they name and to no other, and only forward; that they were given is known.
//! The real binary and real clients.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Device, Hub, PASSWORD, Setup, cookie, get, log_in};
use gift_wire::{Order, OrderKind, SignedOrder, WIRE_VERSION};
use reqwest::{Response, StatusCode};

fn order(serial: &str, number: u64) -> Order {
    Order {
        version: WIRE_VERSION,
        number,
        kind: OrderKind::Decommission,
        serial: serial.into(),
        identity: format!("age1{}", "q".repeat(58)),
        created: "2026-11-29".into(),
        expires: "2026-12-29".into(),
    }
}

fn signed(order: &Order) -> Vec<u8> {
    let order = serde_json::to_string(order).unwrap();
    serde_json::to_vec(&SignedOrder { order, signature: "any".into() }).unwrap()
}

/// `gift-hub add-order`: success and standard output.
fn add(hub: &Hub, json: &[u8]) -> (bool, String) {
    std::fs::write(hub.directory.path().join("order.json"), json).unwrap();
    hub.admin(&["add-order", "order.json"], "")
}

async fn asked(device: &Device, tag: Option<&str>) -> Response {
    let request = device.client.get(format!("{}/box/v1/order", device.boxes));
    let request = tag.iter().fold(request, |request, tag| request.header("if-none-match", *tag));
    request.send().await.unwrap()
}

fn trail(hub: &Hub, action: &str) -> Vec<String> {
    let database = hub.database();
    let mut rows = database.prepare("SELECT actor || ' ' || target FROM audit WHERE action = ?1 ORDER BY seq").unwrap();
    rows.query_map([action], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn an_order_is_given_to_its_box_alone_and_noted() {
    let hub = Hub::start(&Setup::default());
    let (ward, other) = (hub.enrol("ward-1").await, hub.enrol("ward-2").await);
    assert_eq!(asked(&ward, None).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(add(&hub, &signed(&order("WARD-1", 3))), (true, "number 3\n".to_owned()));
    assert_eq!(asked(&other, None).await.status(), StatusCode::NOT_FOUND);
    assert!(trail(&hub, "order-fetched").is_empty());
    let answer = asked(&ward, None).await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(answer.bytes().await.unwrap(), signed(&order("WARD-1", 3)));
    assert_eq!(asked(&ward, Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(asked(&ward, None).await.status(), StatusCode::OK);
    assert_eq!(trail(&hub, "order-added"), ["command ward-1 decommission 3"]);
    assert_eq!(trail(&hub, "order-fetched"), ["box:ward-1 ward-1 decommission 3"], "once");
    hub.add_user("ada", "researcher");
    let session = log_in(&hub, &hub.client(), "ada", PASSWORD).await;
    let page = get(&hub, "/", &cookie(&session)).await.text().await.unwrap();
    assert!(page.contains("decommission 3: fetched, being carried out"), "{page}");
    // A newer one is another; the other box has its own numbers.
    assert!(add(&hub, &signed(&order("WARD-1", 4))).0 && add(&hub, &signed(&order("WARD-2", 1))).0);
    assert_eq!(asked(&ward, Some(&tag)).await.bytes().await.unwrap(), signed(&order("WARD-1", 4)));
    assert_eq!(asked(&other, None).await.bytes().await.unwrap(), signed(&order("WARD-2", 1)));

    let bare = Device { client: hub.client(), boxes: hub.boxes.clone() };
    assert_eq!(asked(&bare, None).await.status(), StatusCode::UNAUTHORIZED);
    assert!(hub.admin(&["revoke-box", "ward-1"], "").0);
    assert_eq!(asked(&ward, None).await.status(), StatusCode::FORBIDDEN);
    assert!(hub.admin(&["verify-audit"], "").1.starts_with("whole: "));
}

#[tokio::test]
async fn what_is_no_order_or_for_nobody_is_not_put_up() {
    let hub = Hub::start(&Setup::default());
    let ward = hub.enrol("ward-1").await;
    assert!(add(&hub, &signed(&order("WARD-1", 3))).0);
    for json in [
        signed(&order("WARD-1", 3)),
        signed(&order("WARD-1", 2)),
        signed(&order("WARD-9", 1)),
        signed(&order("ward-1", 9)),
        signed(&Order { version: 2, ..order("WARD-1", 9) }),
        signed(&Order { identity: "age1".into(), ..order("WARD-1", 9) }),
        b"{}".to_vec(),
        vec![b' '; gift_wire::MAX_ORDER_JSON_BYTES + 1],
    ] {
        assert!(!add(&hub, &json).0);
    }
    assert_eq!(asked(&ward, None).await.bytes().await.unwrap(), signed(&order("WARD-1", 3)));
    assert_eq!(trail(&hub, "order-added").len(), 1);
    assert!(hub.admin(&["revoke-box", "ward-1"], "").0);
    assert!(!add(&hub, &signed(&order("WARD-1", 9))).0, "a revoked box fetches nothing");
}
