//! The programs that are measured, each with what it needs besides the objects.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::run::run;

/// One way of doing the work.
#[derive(Debug)]
pub(super) struct Tool {
    /// As the table names it.
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    /// `IN` and `OUT` stand for the folders.
    pub(super) arguments: Vec<String>,
}

/// Name of ours.
pub(super) const OURS: &str = "ours";
/// Name of the bound: the bytes copied, nothing looked at.
pub(super) const COPY: &str = "cp -r";
pub(super) const GDCMANON: &str = "gdcmanon";
pub(super) const KITWARE: &str = "dicomanonymizer";
pub(super) const PILLOW: &str = "numpy+Pillow";

impl Tool {
    fn new(name: &'static str, program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self { name, program: program.into(), arguments: arguments.iter().map(|a| (*a).to_owned()).collect() }
    }

    /// The arguments for a run.
    pub(super) fn arguments(&self, input: &Path, output: &Path) -> Vec<String> {
        let put = |argument: &String| match argument.as_str() {
            "IN" => input.display().to_string(),
            "OUT" => output.display().to_string(),
            _ => argument.clone(),
        };
        self.arguments.iter().map(put).collect()
    }
}

/// `cp`.
pub(super) fn copy() -> Tool {
    Tool::new(COPY, "cp", &["-r", "IN", "OUT"])
}

/// Ours, as the box runs it: Basic Profile with the options of the default profile, templates, leak scan.
pub(super) fn ours(root: &Path, program: &Path, kept: &Path) -> Result<Tool> {
    let (templates, key) = (kept.join("templates.json"), kept.join("key"));
    fs::write(&templates, TEMPLATES)?;
    fs::write(&key, [0x5A; 32])?;
    let policy = root.join("config").display().to_string();
    let (templates, key) = (templates.display().to_string(), key.display().to_string());
    let arguments = [
        "--policy",
        &policy,
        "deidentify",
        "IN",
        "OUT",
        "--templates",
        &templates,
        "--key",
        &key,
        "--options",
        "clean_desc,long_mod,rtn_pat",
    ];
    Ok(Tool::new(OURS, program, &arguments))
}

/// The other de-identifiers. gdcmanon encrypts the attributes it replaces, for a certificate that is made here.
pub(super) fn deidentifiers(python: &Path, kept: &Path) -> Result<Vec<Tool>> {
    let (certificate, key) = (kept.join("certificate.pem"), kept.join("certificate.key"));
    if !certificate.exists() {
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=bench", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate))?;
    }
    let certificate = certificate.display().to_string();
    Ok(vec![
        Tool::new(GDCMANON, "gdcmanon", &["-e", "-c", &certificate, "-r", "-i", "IN", "-o", "OUT"]),
        Tool::new(KITWARE, python, &["-m", "dicomanonymizer.anonymizer", "IN", "OUT"]),
        // Its console script does not start; its module does.
        Tool::new(
            "dicognito",
            python,
            &["-c", "import sys, dicognito.__main__ as d; d.main(sys.argv[1:])", "IN", "-o", "OUT"],
        ),
    ])
}

/// Our redaction alone: no profile, no leak scan.
pub(super) fn redact(program: &Path, regions: &[&str]) -> Tool {
    Tool::new(OURS, program, &[&["IN", "OUT"], regions].concat())
}

/// Decoding, blanking and encoding again, with the quality kept.
pub(super) fn pillow(root: &Path, python: &Path) -> Tool {
    let script = root.join("appliance/e2e/peers/redact.py").display().to_string();
    Tool::new(PILLOW, python, &[&script, "IN", "OUT", "0,0,640,49"])
}

/// The simulator's two ultrasound scanners, and the second with another screen.
const TEMPLATES: &str = r#"[
{"manufacturer": "GE Healthcare", "model": "Voluson E10", "rows": 720, "cols": 960,
 "rects_xywh": [[76, 3, 430, 28], [76, 36, 430, 26]]},
{"manufacturer": "Philips Medical Systems", "model": "EPIQ 7C", "rows": 480, "cols": 640, "rects_xywh": [[0, 0, 640, 49]]}
]
"#;
