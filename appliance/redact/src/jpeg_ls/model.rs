//! The modelling that decoder and encoder share (T.87 Annex A): parameters, contexts, prediction.

use crate::codec::CodecError;

/// Order of run length codes (A.7.1.1).
pub(super) const J: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Coding parameters (C.2.4.1) and what follows from them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    pub(super) max: i32,
    pub(super) near: i32,
    pub(super) thresholds: [i32; 3],
    pub(super) reset: i32,
    pub(super) range: i32,
    pub(super) qbpp: u32,
    pub(super) limit: u32,
}

/// Presets as an LSE segment states them; zero stands for the default.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Presets {
    pub(super) max: i32,
    pub(super) thresholds: [i32; 3],
    pub(super) reset: i32,
}

impl Parameters {
    pub(super) fn new(precision: u8, near: i32, presets: Presets) -> Result<Self, CodecError> {
        const BAD: CodecError = CodecError::Malformed("JPEG-LS parameters");
        let greatest = (1 << precision) - 1;
        let max = if presets.max == 0 { greatest } else { presets.max };
        if !(1..=greatest).contains(&max) || near > 255.min(max / 2) {
            return Err(BAD);
        }
        let clamp = |value: i32, least: i32| if value > max || value < least { least } else { value };
        let [t1, t2, t3] = presets.thresholds;
        let default = if max >= 128 {
            let factor = (max.min(4095) + 128) / 256;
            [factor + 2 + 3 * near, factor * 4 + 3 + 5 * near, factor * 17 + 4 + 7 * near]
        } else {
            let factor = 256 / (max + 1);
            [2.max(3 / factor + 3 * near), 3.max(7 / factor + 5 * near), 4.max(21 / factor + 7 * near)]
        };
        let t1 = if t1 == 0 { clamp(default[0], near + 1) } else { t1 };
        let t2 = if t2 == 0 { clamp(default[1], t1) } else { t2 };
        let t3 = if t3 == 0 { clamp(default[2], t2) } else { t3 };
        let reset = if presets.reset == 0 { 64 } else { presets.reset };
        let ascending = near < t1 && t1 <= t2 && t2 <= t3 && t3 <= max;
        if !ascending || !(3..=255.max(max)).contains(&reset) {
            return Err(BAD);
        }
        let range = (max + 2 * near) / (2 * near + 1) + 1;
        let bits = |v: i32| 32 - (v as u32).leading_zeros();
        let bpp = bits(max).max(2);
        Ok(Self {
            max,
            near,
            thresholds: [t1, t2, t3],
            reset,
            range,
            qbpp: bits(range - 1),
            limit: 2 * (bpp + bpp.max(8)),
        })
    }

    /// Quantised gradient (A.3.3).
    #[inline(always)]
    pub(super) fn quantise(&self, d: i32) -> i32 {
        let [t1, t2, t3] = self.thresholds;
        let magnitude = d.abs();
        let q = if magnitude <= self.near {
            0
        } else if magnitude < t1 {
            1
        } else if magnitude < t2 {
            2
        } else if magnitude < t3 {
            3
        } else {
            4
        };
        if d < 0 { -q } else { q }
    }

    /// The sample that a prediction and a (signed, quantised) error make (A.4.5, A.5.3).
    #[inline(always)]
    pub(super) fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut value = prediction + error * step;
        if value < -self.near {
            value += self.range * step;
        } else if value > self.max + self.near {
            value -= self.range * step;
        }
        value.clamp(0, self.max)
    }

    /// Error modulo the range (A.4.5), lossless.
    #[inline(always)]
    pub(super) fn reduce(&self, error: i32) -> i32 {
        let error = if error < 0 { error + self.range } else { error };
        if error >= (self.range + 1) / 2 { error - self.range } else { error }
    }
}

/// Samples around the one to be coded (Figure 3).
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) a: i32,
    pub(super) b: i32,
    pub(super) c: i32,
    pub(super) d: i32,
}

impl Around {
    /// Median edge detection (A.4.1).
    #[inline(always)]
    fn predict(self) -> i32 {
        let Self { a, b, c, .. } = self;
        if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

/// Context of run interruption samples (A.7.2).
#[derive(Debug, Clone, Copy)]
struct RunContext {
    a: i32,
    n: i32,
    negative: i32,
}

/// The adaptive state of a scan.
pub(super) struct State {
    pub(super) parameters: Parameters,
    contexts: Box<[Context; 365]>,
    runs: [RunContext; 2],
}

/// A regular sample's context, as needed to code its error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regular {
    index: usize,
    pub(super) sign: i32,
    pub(super) prediction: i32,
    pub(super) k: u32,
    /// Errors are mapped the other way round (A.5.2).
    flipped: bool,
}

/// A run interruption's context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interruption {
    kind: usize,
    pub(super) sign: i32,
    pub(super) prediction: i32,
    pub(super) k: u32,
    mostly_negative: bool,
}

#[inline(always)]
fn order(n: i32, a: i32) -> u32 {
    let mut k = 0;
    while (i64::from(n) << k) < i64::from(a) {
        k += 1;
    }
    k
}

impl State {
    pub(super) fn new(parameters: Parameters) -> Self {
        let a = ((parameters.range + 32) / 64).max(2);
        Self {
            parameters,
            contexts: Box::new([Context { a, b: 0, c: 0, n: 1 }; 365]),
            runs: [RunContext { a, n: 1, negative: 0 }; 2],
        }
    }

    /// Context number and sign (A.3.4); number 0 is the run mode.
    #[inline(always)]
    pub(super) fn context(&self, around: Around) -> (usize, i32) {
        let q = |d| self.parameters.quantise(d);
        let number = 81 * q(around.d - around.b) + 9 * q(around.b - around.c) + q(around.c - around.a);
        (number.unsigned_abs() as usize, if number < 0 { -1 } else { 1 })
    }

    /// Prediction and code order in a context (A.4.2, A.5.1).
    #[inline(always)]
    pub(super) fn regular(&self, (index, sign): (usize, i32), around: Around) -> Regular {
        let context = &self.contexts[index];
        let k = order(context.n, context.a);
        Regular {
            index,
            sign,
            prediction: (around.predict() + sign * context.c).clamp(0, self.parameters.max),
            k,
            flipped: self.parameters.near == 0 && k == 0 && 2 * context.b <= -context.n,
        }
    }

    /// Takes a regular sample's error in (A.6).
    #[inline(always)]
    pub(super) fn update(&mut self, regular: Regular, error: i32) {
        let context = &mut self.contexts[regular.index];
        context.b += error * (2 * self.parameters.near + 1);
        context.a += error.abs();
        if context.n == self.parameters.reset {
            context.a >>= 1;
            context.b >>= 1;
            context.n >>= 1;
        }
        context.n += 1;
        if context.b <= -context.n {
            context.b = (context.b + context.n).max(1 - context.n);
            context.c = (context.c - 1).max(-128);
        } else if context.b > 0 {
            context.b = (context.b - context.n).min(0);
            context.c = (context.c + 1).min(127);
        }
    }

    /// Context of the sample that ends a run (A.7.2); `colour` for samples of one pixel interleaved (always the first
    /// kind).
    #[inline(always)]
    pub(super) fn interruption(&self, a: i32, b: i32, colour: bool) -> Interruption {
        let kind = usize::from(!colour && (a - b).abs() <= self.parameters.near);
        let run = &self.runs[kind];
        let k = order(run.n, if kind == 1 { run.a + (run.n >> 1) } else { run.a });
        Interruption {
            kind,
            sign: if kind == 0 && a > b { -1 } else { 1 },
            prediction: if kind == 1 { a } else { b },
            k,
            mostly_negative: 2 * run.negative >= run.n,
        }
    }

    /// Takes a run interruption's error in (A.7.2.2).
    #[inline(always)]
    pub(super) fn update_interruption(&mut self, interruption: Interruption, error: i32, mapped: u32) {
        let run = &mut self.runs[interruption.kind];
        run.negative += i32::from(error < 0);
        run.a += (mapped as i32 + 1 - interruption.kind as i32) >> 1;
        if run.n == self.parameters.reset {
            run.a >>= 1;
            run.n >>= 1;
            run.negative >>= 1;
        }
        run.n += 1;
    }
}

impl Regular {
    /// Non-negative code of an error (A.5.2).
    #[inline(always)]
    pub(super) fn map(self, error: i32) -> u32 {
        let error = if self.flipped { -error - 1 } else { error };
        (if error >= 0 { 2 * error } else { -2 * error - 1 }) as u32
    }

    /// The error of a code.
    #[inline(always)]
    pub(super) fn unmap(self, mapped: u32) -> i32 {
        let half = (mapped >> 1) as i32;
        let error = if mapped & 1 == 0 { half } else { -half - 1 };
        if self.flipped { -error - 1 } else { error }
    }
}

impl Interruption {
    /// Non-negative code of an error (A.7.2.1).
    #[inline(always)]
    pub(super) fn map(self, error: i32) -> u32 {
        let map = if error > 0 {
            self.k == 0 && !self.mostly_negative
        } else {
            error < 0 && (self.k != 0 || self.mostly_negative)
        };
        (2 * error.abs() - self.kind as i32 - i32::from(map)) as u32
    }

    /// The error of a code.
    #[inline(always)]
    pub(super) fn unmap(self, mapped: u32) -> i32 {
        let code = mapped as i32 + self.kind as i32;
        let (odd, magnitude) = (code & 1 == 1, (code + 1) / 2);
        if (self.k != 0 || self.mostly_negative) == odd { -magnitude } else { magnitude }
    }
}
