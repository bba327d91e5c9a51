//! Measures commits per second by threads and bounds of the group commit, on the disk under a given directory.
//!
//! `cargo run -p gift-spool --example commit_rate -- DIRECTORY [BYTES]`
#![allow(clippy::print_stdout, reason = "a measurement prints")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use gift_spool::{Depositor, GroupCommit, SpoolError};

const ITEMS: usize = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = args.next().ok_or("DIRECTORY is missing")?;
    let bytes: usize = args.next().map_or(Ok(531_000), |text| text.parse())?;
    let root = Path::new(&root).join("commit-rate");
    for (max_items, linger_ms) in [(1, 0), (16, 0), (16, 2)] {
        for threads in [1, 4, 10] {
            std::fs::create_dir_all(root.join("staging"))?;
            std::fs::create_dir_all(root.join("inbox"))?;
            let bounds = GroupCommit { max_items, linger: Duration::from_millis(linger_ms) };
            let writer = Depositor::open_with(&root.join("staging"), &root.join("inbox"), bounds)?;
            let body = vec![7_u8; bytes];
            let begin = Instant::now();
            std::thread::scope(|scope| -> Result<(), SpoolError> {
                let each = || (0..ITEMS / threads).try_for_each(|_| writer.deposit(b"{}", &body).map(drop));
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(each)).collect();
                running.into_iter().try_for_each(|t| t.join().unwrap_or(Err(SpoolError::Gone)))
            })?;
            let rate = ITEMS as f64 / begin.elapsed().as_secs_f64();
            println!("batch ≤ {max_items:2}, linger {linger_ms} ms, {threads:2} threads: {rate:6.0} items/s");
            std::fs::remove_dir_all(&root)?;
        }
    }
    Ok(())
}
