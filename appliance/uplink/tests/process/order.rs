//! Small parcels (orders, policy bundles): fetched once each, handed over as they came, each into its own drop; what is too long is not.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use gift_spool::Collector;

use super::{hub::TestHub, rig::Rig};

fn rig(hub: &TestHub, drops: &Path) -> Rig {
    let mut tables = String::new();
    for table in ["orders", "policy"] {
        for name in ["staging", "inbox", "aside"] {
            fs::create_dir_all(drops.join(table).join(name)).unwrap();
        }
        let path = |name: &str| drops.join(table).join(name).display().to_string();
        let (staging, inbox) = (path("staging"), path("inbox"));
        tables += &format!("[{table}]\nstaging = {staging:?}\ninbox = {inbox:?}\ninterval-seconds = 1\n");
    }
    Rig::new(hub, &tables)
}

pub(crate) fn waiting(drop: &Path) -> usize {
    fs::read_dir(drop.join("inbox")).unwrap().count()
}

/// Takes the one item that waits.
pub(crate) fn taken(drop: &Path) -> Vec<u8> {
    let uid = fs::metadata(drop).unwrap().uid();
    let collector = Collector::open(&drop.join("inbox"), &drop.join("aside"), &[uid]).unwrap();
    let id = collector.scan().unwrap().remove(0);
    let mut body = Vec::new();
    collector.take_into(&id, &mut body).unwrap();
    collector.finish(&id).unwrap();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_a_policy_are_each_handed_over_once_to_their_reader() {
    let hub = TestHub::sound().await;
    let directory = tempfile::tempdir().unwrap();
    let (orders, policies) = (directory.path().join("orders"), directory.path().join("policy"));
    hub.state().order = Some(b"an order".to_vec());
    let mut rig = rig(&hub, directory.path());
    rig.start();
    rig.until("the order handed over", |_| waiting(&orders) == 1).await;
    assert_eq!(taken(&orders), b"an order");
    // Not again, also not after a kill, once it is noted (a crash in between hands it over twice).
    rig.until("its tag kept", |rig| rig.path("uplink/order.tag").exists()).await;
    rig.kill();
    rig.start();
    hub.state().policy = Some(b"a policy".to_vec());
    rig.until("the policy handed over", |_| waiting(&policies) == 1).await;
    let asked = hub.state().paths.len();
    rig.until("it asks again", |_| hub.state().paths.len() > asked + 3).await;
    assert_eq!((waiting(&orders), waiting(&policies)), (0, 1));
    assert_eq!(taken(&policies), b"a policy");
    // Too long for one: neither read nor handed over; the next one is.
    hub.state().order = Some(vec![b'x'; gift_wire::MAX_ORDER_JSON_BYTES + 1]);
    let asked = hub.state().paths.len();
    rig.until("it is asked for", |_| hub.state().paths.len() > asked + 3).await;
    assert_eq!(waiting(&orders), 0);
    hub.state().order = Some(b"the next".to_vec());
    rig.until("the next order handed over", |_| waiting(&orders) == 1).await;
    assert_eq!(taken(&orders), b"the next");
}
