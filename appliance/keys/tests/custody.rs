//! Custody of a key, by the binary as people use it: made, shared out, recovered, wrapped to a box, unwrapped there; and a box
//! that was replaced gives the pseudonyms that the old one gave.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use gift_deid::key::{Credential, SiteKey};
use gift_deidentify::pseudonym::{Answer, Ask, NationalNumber, Scheme};

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_gift-keys"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A verb that reads nothing may be gone already.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        process.wait_with_output().unwrap()
    }

    /// Standard output of a run that succeeds.
    fn does(&self, arguments: &[&str]) -> String {
        self.says(arguments, "")
    }

    fn says(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Standard error of a run that fails; it leaves no file `out`.
    fn refuses(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(!output.status.success() && !self.path("out").exists(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn id(&self, file: &str) -> String {
        self.does(&["id", file]).split_whitespace().nth(1).unwrap().to_owned()
    }
}

fn answers(site: &Path, linkage: &Path) -> Vec<Answer> {
    let (site, linkage) = (Credential::load(site).unwrap(), Credential::load(linkage).unwrap());
    let number = NationalNumber::parse(Scheme::Nhs, "9434765919").unwrap();
    let patient = |issuer: &str| (issuer.to_owned(), "RQ780833".to_owned());
    let ((issuer, id), (date_issuer, date_id)) = (patient("TRUST"), patient("TRUST"));
    let asks = [
        Ask::Subject { issuer, id },
        Ask::DateShift { issuer: date_issuer, id: date_id },
        Ask::LinkedSubject(number.clone()),
        Ask::LinkedDateShift(number),
        Ask::Uid("1.2.3".into()),
        Ask::Text { domain: "00181000".into(), value: "SN1".into() },
    ];
    SiteKey::new(&site).answer_with(Some(&linkage.linkage_key()), &asks).unwrap()
}

#[test]
fn a_replaced_box_gives_identical_pseudonyms_and_the_escrow_holder_the_same_label() {
    let desk = Desk::new();
    for (name, version) in [("site", "4"), ("linkage", "2")] {
        desk.does(&["make", name, "--version", version]);
        let holders = format!("{name}-holders");
        fs::create_dir(desk.path(&holders)).unwrap();
        desk.does(&["escrow", name, "--shares", "5", "--threshold", "3", "--out", &holders]);
        // Three holders meet; the key goes to the new box.
        let shares: Vec<String> = [5, 1, 4].iter().map(|n| format!("{holders}/share-{n}.txt")).collect();
        let recovered = format!("{name}-recovered");
        desk.does(&["recover", &shares[0], &shares[1], &shares[2], "--out", &recovered]);
        let identity = format!("{name}-box");
        let public = desk.does(&["box-identity", &identity]);
        let wrapped = format!("{name}.age");
        desk.does(&["wrap", &recovered, "--to", &public, "--out", &wrapped]);
        let id = desk.id(name);
        let on_box = format!("{name}-on-box");
        desk.does(&["unwrap", &wrapped, "--identity", &identity, "--expect", &id, "--out", &on_box]);
        assert_eq!(fs::read(desk.path(name)).unwrap(), fs::read(desk.path(&on_box)).unwrap());
        for file in [name, &recovered, &on_box, &identity, &shares[0]] {
            assert_eq!(fs::metadata(desk.path(file)).unwrap().permissions().mode() & 0o777, 0o400, "{file}");
        }
        assert_eq!(Credential::load(&desk.path(&on_box)).unwrap().version.to_string(), version);
    }
    let before = answers(&desk.path("site"), &desk.path("linkage"));
    assert_eq!(before, answers(&desk.path("site-on-box"), &desk.path("linkage-on-box")));

    let of_site = desk.says(&["label", "--site-key", "site-recovered"], "TRUST\nRQ780833\n");
    assert_eq!(Answer::Subject(of_site), before[0]);
    let label = ["label", "--linkage-key", "linkage-recovered", "--scheme", "nhs"];
    assert_eq!(Answer::Subject(desk.says(&label, "943 476 5919\n")), before[2]);

    // The next version is another key, with other pseudonyms.
    desk.does(&["make", "site-next", "--version", "5"]);
    let next = answers(&desk.path("site-next"), &desk.path("linkage"));
    assert!(next[0] != before[0] && next[4] != before[4] && next[2] == before[2]);
}

#[test]
fn too_few_altered_mixed_and_unwanted_are_refused_and_nothing_is_replaced() {
    let desk = Desk::new();
    desk.does(&["make", "a"]);
    desk.does(&["make", "b"]);
    assert!(desk.refuses(&["make", "a"], "").contains("exists"));
    for name in ["a", "b"] {
        fs::create_dir(desk.path(&format!("{name}-shares"))).unwrap();
        desk.does(&["escrow", name, "--shares", "3", "--threshold", "2", "--out", &format!("{name}-shares")]);
    }
    let recover = |shares: &[&str]| desk.refuses(&[&["recover"], shares, &["--out", "out"]].concat(), "");
    assert!(recover(&["a-shares/share-1.txt"]).contains("2 shares are needed, 1 were given"));
    assert!(recover(&["a-shares/share-1.txt", "b-shares/share-2.txt"]).contains("another key"));
    assert!(recover(&["a-shares/share-1.txt", "a-shares/share-1.txt"]).contains("given before"));
    let text = fs::read_to_string(desk.path("a-shares/share-2.txt")).unwrap();
    let value = text.lines().find(|line| line.starts_with("value")).unwrap();
    let typo = if value.ends_with('0') { '1' } else { '0' };
    fs::write(desk.path("typo"), text.replace(value, &format!("{}{typo}", &value[..value.len() - 1]))).unwrap();
    let said = recover(&["a-shares/share-1.txt", "typo"]);
    assert!(said.contains("checksum") && !said.contains(&value[6..30]), "{said}");

    let (ours, theirs) = (desk.does(&["box-identity", "ours"]), desk.does(&["box-identity", "theirs"]));
    assert_ne!(ours, theirs);
    desk.does(&["wrap", "a", "--to", &ours, "--out", "a.age"]);
    let (id_a, id_b) = (desk.id("a"), desk.id("b"));
    let unwrap = |identity, expect| {
        desk.refuses(&["unwrap", "a.age", "--identity", identity, "--expect", expect, "--out", "out"], "")
    };
    assert!(unwrap("theirs", &id_a).contains("another box"));
    assert!(unwrap("ours", &id_b).contains("another key"));
    assert!(desk.refuses(&["wrap", "a", "--to", "age1mistyped", "--out", "out"], "").contains("public key"));
}

#[test]
fn no_secret_and_no_patient_is_on_a_command_line_or_in_an_error() {
    let desk = Desk::new();
    desk.does(&["make", "a"]);
    let label = ["label", "--linkage-key", "a", "--scheme", "nhs"];
    for input in ["9434765918\n", "9990000018\n", ""] {
        let said = desk.refuses(&label, input);
        assert!(!said.contains("94347659") && !said.contains("99900000"), "{said}");
    }
    // A patient as an argument is not taken, whatever it is called.
    desk.refuses(&["label", "--site-key", "a", "9434765919"], "");
    desk.refuses(&["label", "--site-key", "a", "--scheme", "nhs"], "");
    let text = fs::read_to_string(desk.path("a")).unwrap();
    let digits = text.split('"').nth(1).unwrap();
    fs::write(desk.path("broken"), text.replace("version", "versoin")).unwrap();
    for arguments in [["id", "broken"], ["id", "a"]] {
        let output = desk.run(&arguments, "");
        let said = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8(said).unwrap().contains(&digits[..8]));
    }
}

#[test]
fn a_bundle_is_signed_only_when_boxes_would_take_it() {
    let desk = Desk::new();
    let public = desk.does(&["policy-key", "signer"]);
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let image = image.to_str().unwrap();
    let site = desk.path("texts/templates/site");
    fs::create_dir_all(&site).unwrap();
    let demo = fs::read_to_string(Path::new(image).join("templates/demo/ge-v830.toml")).unwrap();
    let make = |more: &[&'static str]| {
        [&["bundle", "texts", "--image", image, "--key", "signer", "--out", "out"], more].concat()
    };
    fs::write(site.join("ge-v830.toml"), &demo).unwrap();
    // The same template twice: the image's, and this one.
    assert!(desk.refuses(&make(&["--serial", "1"]), "").contains("twice"));
    assert!(
        desk.refuses(&make(&["--serial", "0", "--withdraw", "templates/demo/ge-v830"]), "").contains("begins at 1")
    );
    assert!(desk.refuses(&make(&["--serial", "1", "--withdraw", "../x"]), "").contains("templates/"));
    fs::write(site.join("torn.toml"), &demo[..demo.len() / 2]).unwrap();
    assert!(desk.refuses(&make(&["--serial", "1", "--withdraw", "templates/demo/ge-v830"]), "").contains("torn"));
    fs::remove_file(site.join("torn.toml")).unwrap();

    desk.does(&make(&["--serial", "1", "--withdraw", "templates/demo/ge-v830"]));
    let signed = gift_wire::SignedBundle::from_json(&fs::read(desk.path("out")).unwrap()).unwrap();
    let signature = minisign_verify::Signature::decode(&signed.signature).unwrap();
    let key = minisign_verify::PublicKey::from_base64(&public).unwrap();
    key.verify(signed.bundle.as_bytes(), &signature, false).unwrap();
    let bundle = gift_wire::Bundle::parse(&signed.bundle).unwrap();
    assert_eq!((bundle.serial, bundle.texts["templates/site/ge-v830"].as_str()), (1, demo.as_str()));
    assert_eq!(fs::metadata(desk.path("signer")).unwrap().permissions().mode() & 0o777, 0o400);
}
