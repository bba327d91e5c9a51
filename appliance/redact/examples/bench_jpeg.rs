//! Frames per second of JPEG redaction, one core: `bench_jpeg FRAME.jpg COLUMNS ROWS SAMPLES`.
#![allow(clippy::print_stdout, reason = "a tool that prints")]

use gift_redact::jpeg::{Colour, Expected, prove, redact};
use gift_redact::{Mask, Rect};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let bytes = std::fs::read(&args[0])?;
    let expected =
        Expected { columns: args[1].parse()?, rows: args[2].parse()?, samples: args[3].parse()?, colour: Colour::Ybr };
    let mask = Mask::new(vec![Rect { x0: 0, y0: 0, x1: u32::from(expected.columns), y1: 49 }]);
    let mut out = Vec::new();
    for (name, proven) in [("redact", false), ("redact and prove", true)] {
        let start = std::time::Instant::now();
        let mut frames = 0;
        while start.elapsed().as_secs() < 2 {
            out.clear();
            let receipt = redact(&bytes, &expected, &mask, &mut out)?;
            if proven {
                prove(&out, &expected, &mask, &receipt)?;
            }
            frames += 1;
        }
        let rate = f64::from(frames) / start.elapsed().as_secs_f64();
        println!("{name}: {rate:.0} frames/s ({} to {} bytes)", bytes.len(), out.len());
    }
    Ok(())
}
