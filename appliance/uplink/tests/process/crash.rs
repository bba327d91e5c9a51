//! SIGKILL at random instants: nothing is lost, nothing stays behind.

use std::{collections::BTreeMap, time::Duration};

use super::{hub::TestHub, rig::Rig};

const KILLS: u32 = 20;
const OBJECTS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_while_fifty_objects_go_up_lose_nothing() {
    let hub = TestHub::sound().await;
    hub.state().delay_ms = 120;
    let mut rig = Rig::new(&hub, "concurrency = 2");
    let mut posted = Vec::new();
    let mut waiting_at_kill: BTreeMap<usize, u32> = BTreeMap::new();
    for round in 0..KILLS {
        for _ in 0..(OBJECTS / KILLS as usize) + usize::from(round % 2 == 0) {
            if posted.len() < OBJECTS {
                posted.push(rig.post(1_000 + u64::from(round) * 40_000));
            }
        }
        rig.start();
        let instant = 5 + u64::from(getrandom::u32().unwrap()) % 250;
        tokio::time::sleep(Duration::from_millis(instant)).await;
        rig.kill();
        let waiting = rig.names("uplink/queue").len() + rig.names("outbox").len();
        *waiting_at_kill.entry(waiting / 5 * 5).or_default() += 1;
    }
    println!("objects still on the box at the kill (steps of 5) -> kills: {waiting_at_kill:?}");
    let with_work: u32 = waiting_at_kill.iter().filter(|(waiting, _)| **waiting >= 5).map(|(_, kills)| kills).sum();
    assert!(with_work >= KILLS / 2, "most kills must hit a process with work: {waiting_at_kill:?}");
    hub.state().delay_ms = 0;
    rig.start();
    rig.until_drained(&hub, OBJECTS).await;
    rig.terminate();

    let stored: Vec<String> = hub.state().stored.keys().cloned().collect();
    posted.sort();
    assert_eq!(stored, posted);
    let sent_twice = hub.state().stored.values().filter(|(_, times)| *times > 1).count();
    println!("sent more than once and recognised by the hub: {sent_twice} of {OBJECTS}");
    assert!(rig.names("uplink/set-aside").is_empty(), "{}", rig.log());
    assert_eq!(rig.status().damaged_total, 0);
    let ledger = rusqlite::Connection::open(rig.path("uplink/ledger.sqlite")).unwrap();
    let count = |query: &str| -> i64 { ledger.query_row(query, [], |row| row.get(0)).unwrap() };
    assert_eq!(count("SELECT count(*) FROM object WHERE state = 1"), OBJECTS as i64);
    assert_eq!(count("SELECT count(*) FROM object"), OBJECTS as i64);
}
