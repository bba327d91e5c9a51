//! `cargo xtask image`: the box's image, from this tree's binaries and Debian 13 packages (image-build/README.md); and
//! `cargo xtask hw-test`, which boots it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    build, install,
    run::{cargo, output, run},
    sbom,
};

/// Version of the image that the tests update the box to.
const NEXT_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), ".1");
/// And a newer one without the extension with codecs.
const PLAIN_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), ".3");

/// What is installed in `/usr/bin` of the image (image-build/executables.root).
const PROGRAMS: &[&str] = &[
    "gift-receiver",
    "gift-deid",
    "gift-uplink",
    "gift-health",
    "gift-provision",
    "gift-keys",
    "gift-updater",
    "gift-canary",
    "gift-signer",
    "gift-eraser",
    "gift-button",
    "gift-clock",
];

/// What is installed in `/usr/bin` of the extension (image-build/codecs/executables), with ffmpeg and Tesseract.
const CODECS_PROGRAMS: &[&str] = &["gift-video", "gift-ocr"];

/// Whether an image has the extension with codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Codecs {
    /// No: video is held, and no second look is taken.
    None,
    /// Yes.
    Make,
    /// Of the files that were made last, packed for this version.
    Keep,
}

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Version of the image, 1 to 4 numbers with points: decides which of two is newer.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"), value_parser = image_version)]
    image_version: String,
    /// Take the programs from there instead of building them: the bench's image is of those that the tests have built.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Public keys of those who may sign a box's provisioning, one a line. Without it a test key is made.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Public keys of those who may sign system updates, one a line. Without it a test key is made.
    #[arg(long, value_name = "FILE")]
    trust_updates: Option<PathBuf>,
    /// Public keys of those who may sign orders to erase a box, one a line. Without it a test key is made.
    #[arg(long, value_name = "FILE")]
    trust_orders: Option<PathBuf>,
    /// Whether the image has the extension with what video and the second look (OCR) need.
    #[arg(long, value_enum, default_value_t = Codecs::None)]
    codecs: Codecs,
    /// An image for the test bench: the same, and a way in (hw-tests/agent). Never shipped.
    #[arg(long)]
    bench: bool,
    /// Build all of it a second time, the programs in another directory, and compare the two root hashes.
    #[arg(long, conflicts_with = "binaries")]
    twice: bool,
}

/// Boxes compare versions as `gift_wire::ImageVersion` does; one that they cannot read would never be updated from.
fn image_version(text: &str) -> Result<String, String> {
    let numbers: Vec<&str> = text.split('.').collect();
    let number = |word: &&str| word.len() <= 5 && word.parse::<u32>().is_ok_and(|number| number.to_string() == **word);
    if numbers.len() <= 4 && numbers.iter().all(number) {
        Ok(text.to_owned())
    } else {
        Err("1 to 4 numbers with points, such as 1.4.2".to_owned())
    }
}

/// Builds the image; the directory it is in.
pub(crate) fn image(root: &Path, options: &Options) -> Result<PathBuf> {
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("building the image needs root (mount namespaces, a Debian root of its own)");
    }
    if options.codecs == Codecs::Keep && (!options.bench || options.twice) {
        bail!("the extension that was made last may be the bench's: a product's is made");
    }
    install::image_packages()?;
    let target = build::target(root);
    let out = build_image(root, &target, options)?;
    if options.twice {
        let first = sbom::root_hash(&out, &options.image_version)?;
        build_image(root, &target.join("image/twice"), options)?;
        let second = sbom::root_hash(&out, &options.image_version)?;
        if first != second {
            bail!("not reproducible: the second build's root hash is {second}, the first one's {first}");
        }
        println!("reproducible: two builds have the root hash {first}");
    }
    Ok(out)
}

/// Whether each program of the image compiles alone: it then has the features of its own dependency tree and no other, which a
/// build of the workspace hides.
pub(crate) fn check_programs(root: &Path) -> Result<()> {
    for program in PROGRAMS.iter().chain(CODECS_PROGRAMS) {
        run(cargo(root).args(["check", "--quiet", "--locked", "-p", program, "--bins"]))?;
    }
    Ok(())
}

/// A release program without debugging information names no directory of the machine that built it.
fn release(root: &Path, target: &Path, program: &str) -> Result<()> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"))).context("no HOME")?;
    let flag = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [flag(&home, "/cargo"), flag(target, "/target"), flag(root, "/gift")].join("\x1f");
    run(cargo(root).env("CARGO_ENCODED_RUSTFLAGS", flags).env("CARGO_TARGET_DIR", target).args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "-p",
        program,
        "--bins",
    ]))
}

/// Builds the image once, with programs built in `target`.
fn build_image(root: &Path, target: &Path, options: &Options) -> Result<PathBuf> {
    let mut programs = PROGRAMS.to_vec();
    let further = if options.codecs == Codecs::None { &[] } else { CODECS_PROGRAMS };
    if options.bench {
        programs.push("gift-bench");
    }
    let binaries = match &options.binaries {
        Some(directory) => directory.clone(),
        None => {
            for program in programs.iter().chain(further) {
                release(root, target, program)?;
            }
            target.join("release")
        }
    };
    let work = build::target(root).join("image");
    let stage = work.join("stage");
    install_programs(&binaries, &programs, &stage)?;
    if options.codecs == Codecs::Make {
        install_programs(&binaries, further, &work.join("codecs-stage"))?;
    }
    let share = stage.join("usr/share/gift");
    for directory in ["usr/share/gift/trust", "usr/share/gift/defaults", "etc/gift"] {
        fs::create_dir_all(stage.join(directory))?;
    }
    // The tree mirrors the target's paths. Policy without the samples; settings that a provisioning may leave out.
    run(Command::new("cp").arg("-RL").arg(root.join("appliance/dist/usr/.")).arg(stage.join("usr")))?;
    run(Command::new("cp").arg("-RL").arg(root.join("config")).arg(share.join("policy")))?;
    fs::remove_dir_all(share.join("policy/samples"))?;
    for name in ["health.toml", "button.toml"] {
        fs::copy(root.join("config/samples").join(name), share.join("defaults").join(name))?;
    }
    // Bound over by what the provisioning says (gift-uplink.service).
    fs::write(stage.join("etc/resolv.conf"), "")?;
    let trusts =
        [("provisioning", &options.trust), ("update", &options.trust_updates), ("order", &options.trust_orders)];
    // Without one build.sh makes a test one.
    let boot = work.join("keys/boot.crt");
    let product = boot.exists() && !is_test_certificate(&boot);
    for (name, given) in trusts {
        if product && given.is_none() {
            bail!("boot.crt is no TEST certificate, and there is no {name} key: give the key of those who may sign");
        }
        let keys = trust(&binaries, &work, name, given.as_deref())?;
        // A test key by another file's name is one all the same.
        let own = fs::read_to_string(work.join(format!("keys/{name}.pub"))).unwrap_or_default();
        let mut words = own.split_whitespace().filter(|word| word.starts_with("RW"));
        let test = keys.contains(TEST_KEY) || words.any(|word| keys.contains(word));
        if product && test {
            bail!("boot.crt is no TEST certificate, and the {name} key is a test key");
        }
        if test {
            println!(
                "image: boxes with this image believe the TEST key for {name}s in {}",
                work.join("keys").display()
            );
        }
        fs::write(share.join(format!("trust/{name}.pub")), keys)?;
    }
    if options.bench {
        stage_bench(root, &stage)?;
    }
    // Everybody may read what is in the image; owners and modes of directories come from tmpfiles.d.
    run(Command::new("chmod").arg("-R").arg("u=rwX,go=rX").arg(&stage))?;

    run(Command::new("/bin/bash")
        .env("SOURCE_DATE_EPOCH", source_date(root)?)
        .arg(root.join("image-build/build.sh"))
        .arg(work.join("tools"))
        .arg(&work)
        .arg(&options.image_version)
        .arg(options.codecs.to_possible_value().context("a word for codecs")?.get_name())
        .arg(if options.bench { "executables.bench" } else { "" }))?;
    let out = work.join(if options.bench { "bench" } else { "out" });
    programs.extend(further);
    let codecs = (!further.is_empty())
        .then(|| work.join(format!("codecs/{}/tree/packages", if options.bench { "bench" } else { "out" })));
    let archive = work.join("cache/cache/apt/archives");
    sbom::write(root, &out, &archive, &options.image_version, &programs, codecs.as_deref())?;
    println!("root hash: {}", sbom::root_hash(&out, &options.image_version)?);
    println!("image: {}", out.join(format!("gift-edge_{}.raw", options.image_version)).display());
    Ok(out)
}

/// When the sources were committed, s since the Unix epoch: the same for each build of them. No clock of a box is earlier (systemd takes it
/// from `/usr/lib/clock-epoch`).
fn source_date(root: &Path) -> Result<String> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    // Whoever the tree belongs to: it is read, and nothing of it is run.
    let git = ["-c", "safe.directory=*", "log", "-1", "--format=%ct"];
    if let Ok(said) = output(Command::new("git").arg("-C").arg(root).args(git)) {
        return Ok(said.trim().to_owned());
    }
    // Without their history: what git-archive(1) gives each file of a commit.
    let date = fs::metadata(root.join("Cargo.toml"))?.modified()?.duration_since(std::time::UNIX_EPOCH)?;
    Ok(date.as_secs().to_string())
}

/// Makes the tree `stage` anew, with programs in it.
fn install_programs(binaries: &Path, programs: &[&str], stage: &Path) -> Result<()> {
    if stage.exists() {
        fs::remove_dir_all(stage)?;
    }
    fs::create_dir_all(stage.join("usr/bin"))?;
    for program in programs {
        let (from, to) = (binaries.join(program), stage.join("usr/bin").join(program));
        run(Command::new("strip").arg("--strip-debug").arg("-o").arg(to).arg(from))?;
    }
    Ok(())
}

/// The bench's way in, and for each daemon a unit that is the daemon's own but for the program, which tries what is forbidden.
fn stage_bench(root: &Path, stage: &Path) -> Result<()> {
    let units = stage.join("usr/lib/systemd/system");
    run(Command::new("cp").arg("-R").arg(root.join("hw-tests/agent/dist/.")).arg(stage))?;
    // The bench's LEDs are the keyboard's, also while no provisioning says so (hw-tests/bench/machine.py).
    let defaults = stage.join("usr/share/gift/defaults/health.toml");
    let mut health = fs::read_to_string(&defaults)?;
    for (led, name) in [("power", "numlock"), ("uplink", "capslock"), ("attention", "scrolllock")] {
        health = health.replace(&format!("# {led} = \"*{led}\""), &format!("{led} = \"*::{name}\""));
    }
    fs::write(&defaults, health)?;
    for name in [
        "receiver",
        "deid",
        "uplink",
        "health",
        "signer",
        "button",
        "canary",
        "clock",
        "name-servers",
        "time",
        "networkd@",
        "provision",
        "codecs",
        "update",
        "update-check",
        "update-keep",
        "update-settle",
        "order",
        "erase",
        "firewall@",
        "firewall-host",
    ] {
        let unit = fs::read_to_string(units.join(format!("gift-{name}.service")))?.replace("\\\n", "");
        let mut probe = String::new();
        for line in unit.lines().take_while(|line| *line != "[Install]") {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            match key {
                "Type" => probe.push_str("Type=oneshot\nStandardOutput=truncate:/run/probe.json\n"),
                // One of them is enough.
                "ExecStart" if probe.contains("\nExecStart=") => {}
                "ExecStart" => {
                    _ = writeln!(probe, "ExecStart=/usr/bin/gift-bench probe {}", name.trim_end_matches('@'))
                }
                "ExecPaths" => _ = writeln!(probe, "ExecPaths=/usr/bin/gift-bench {value}"),
                // What it does when its time comes, and what happens then.
                "Restart"
                | "RestartSec"
                | "WatchdogSec"
                | "NotifyAccess"
                | "Sockets"
                | "RemainAfterExit"
                | "ExecStartPre"
                | "ExecReload"
                | "ExecStop"
                | "OnSuccess"
                | "SuccessAction"
                | "FailureAction"
                | "ConditionPathExists" => {}
                _ => _ = writeln!(probe, "{line}"),
            }
        }
        fs::write(units.join(format!("bench-probe-{name}.service")), probe)?;
    }
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct HwTestOptions {
    /// Boot the image that was built last instead of building one with the programs of the tests.
    #[arg(long)]
    keep_image: bool,
    /// Further arguments of pytest, such as `-k first_study`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct HwCampaignOptions {
    /// How many power cuts.
    #[arg(long, default_value_t = 30)]
    cuts: u32,
    /// How many machines with a changed byte in the root are booted.
    #[arg(long, default_value_t = 10)]
    flips: u32,
    /// How many power cuts while an update runs.
    #[arg(long, default_value_t = 20)]
    update_cuts: u32,
    #[command(flatten)]
    test: HwTestOptions,
}

/// `cargo xtask hw-test`: the box as a whole machine, the short slice.
pub(crate) fn hw_test(root: &Path, options: &HwTestOptions) -> Result<()> {
    hw_tests(root, options, &["-m", "not campaign"], [1; 3])
}

/// `cargo xtask hw-campaign`: all of it.
pub(crate) fn hw_campaign(root: &Path, options: &HwCampaignOptions) -> Result<()> {
    hw_tests(root, &options.test, &[], [options.cuts, options.flips, options.update_cuts])
}

fn hw_tests(root: &Path, options: &HwTestOptions, which: &[&str], [cuts, flips, update_cuts]: [u32; 3]) -> Result<()> {
    install::hw_test_packages()?;
    let python = install::hw_test_python(root)?;
    let binaries = build::binaries(root)?;
    for program in [
        "gift-provision",
        "gift-keys",
        "gift-updater",
        "gift-signer",
        "gift-eraser",
        "gift-button",
        "gift-clock",
        "gift-bench",
    ] {
        run(cargo(root).args(["build", "--quiet", "-p", program, "--bins"]))?;
    }
    let pytest = || {
        let mut command = Command::new(&python);
        command.current_dir(root.join("hw-tests")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).args(which).args(&options.arguments);
        command
    };
    // The box's, and what tests of these names need: the next version, which the running box is updated to, one without the extension, and
    // what is shipped (but for its programs, which are those of the tests, too).
    let own = env!("CARGO_PKG_VERSION");
    let images = [
        ("", own, true, Codecs::Make),
        ("test_updates.py", NEXT_VERSION, true, Codecs::Keep),
        ("without_the_extension", PLAIN_VERSION, true, Codecs::None),
        ("the_product", own, false, Codecs::None),
    ];
    let tests = if options.keep_image { String::new() } else { output(pytest().arg("--collect-only"))? };
    for (_, image_version, bench, codecs) in
        images.into_iter().filter(|(name, ..)| !options.keep_image && tests.contains(name))
    {
        let (image_version, binaries) = (image_version.to_owned(), Some(binaries.clone()));
        image(
            root,
            &Options {
                image_version,
                binaries,
                trust: None,
                trust_updates: None,
                trust_orders: None,
                codecs,
                bench,
                twice: false,
            },
        )?;
    }
    run(pytest()
        .env("GIFT_BIN_DIR", &binaries)
        .env("GIFT_HW_VERSION", own)
        .env("GIFT_HW_NEXT", NEXT_VERSION)
        .env("GIFT_HW_PLAIN", PLAIN_VERSION)
        .env("GIFT_HW_CUTS", cuts.to_string())
        .env("GIFT_HW_FLIPS", flips.to_string())
        .env("GIFT_HW_UPDATE_CUTS", update_cuts.to_string())
        .args(["-s", "--durations=0", "--durations-min=5"]))
}

/// What a file with the public half of a test key begins with.
const TEST_KEY: &str = "# TEST key";

/// Whether the certificate in `file` says that it is for tests (build.sh makes it so).
fn is_test_certificate(file: &Path) -> bool {
    let subject = output(Command::new("openssl").args(["x509", "-noout", "-subject", "-in"]).arg(file));
    subject.is_ok_and(|subject| subject.contains("TEST"))
}

/// The keys whose provisionings or updates the image believes: those given, or a test key of this working tree.
fn trust(binaries: &Path, work: &Path, name: &str, given: Option<&Path>) -> Result<String> {
    if let Some(file) = given {
        return fs::read_to_string(file).with_context(|| file.display().to_string());
    }
    let (key, public) = (work.join(format!("keys/{name}.key")), work.join(format!("keys/{name}.pub")));
    if !public.exists() {
        fs::create_dir_all(work.join("keys"))?;
        let said = output(Command::new(binaries.join("gift-keys")).arg("policy-key").arg(&key))?;
        let Some(word) = said.split_whitespace().find(|word| word.starts_with("RW")) else {
            bail!("gift-keys policy-key printed no public key");
        };
        fs::write(&public, format!("{TEST_KEY} of this working tree\n{word}\n"))?;
    }
    Ok(fs::read_to_string(&public)?)
}
