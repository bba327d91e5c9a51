//! Memory stays flat whatever the size of an object. `GIFT_OBJECT_MB=500` runs the full bar (10 × 500 MB on disk).
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Instant;

use support::{Receiver, Wanted, peer};

const ASSOCIATIONS: usize = 10;
const BAR_KIB: u64 = 32 * 1024;

#[test]
fn ten_associations_with_a_large_object_each_stay_below_32_mib() {
    let megabytes: usize = std::env::var("GIFT_OBJECT_MB").map_or(50, |text| text.parse().unwrap());
    let receiver = Receiver::start_with(&Wanted::default());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..ASSOCIATIONS {
            let mut scu = receiver.associate();
            scope.spawn(move || {
                let instance = format!("1.2.3.{n}");
                let pixels = megabytes * 1_000_000;
                scu.send(&peer::p_data(5, true, true, &peer::store_rq(1, peer::US_MULTI_FRAME, &instance)));
                let mut head = peer::head(peer::US_MULTI_FRAME, &instance);
                head.extend(peer::pixel_header(pixels as u32));
                scu.send(&peer::p_data(5, false, false, &head));
                let full = peer::p_data(5, false, false, &vec![0; 120_000]);
                for _ in 0..pixels / 120_000 {
                    scu.send(&full);
                }
                scu.send(&peer::p_data(5, false, true, &vec![0; pixels % 120_000]));
                assert_eq!(scu.response(), (1, 0));
                scu.release();
            });
        }
    });
    let (seconds, peak) = (begun.elapsed().as_secs_f64(), receiver.peak_rss_kib());
    println!(
        "{ASSOCIATIONS} x {megabytes} MB in {seconds:.1} s ({:.0} MB/s), peak RSS {peak} KiB",
        (ASSOCIATIONS * megabytes) as f64 / seconds
    );
    assert!(peak <= BAR_KIB, "peak RSS {peak} KiB > {BAR_KIB} KiB");
}
