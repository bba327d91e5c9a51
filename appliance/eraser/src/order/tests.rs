//! Real signatures and a real drop.

use gift_spool::Depositor;
use gift_wire::{OrderKind, UPDATE_CONTEXT, WIRE_VERSION};
use minisign::KeyPair;

use super::*;

struct Bench {
    directory: tempfile::TempDir,
    pair: KeyPair,
    drop: Depositor,
}

fn identity(of: char) -> String {
    format!("age1{}", of.to_string().repeat(58))
}

fn order() -> Order {
    Order {
        version: WIRE_VERSION,
        number: 4,
        kind: OrderKind::FactoryReset,
        serial: "GE-0001".into(),
        identity: identity('q'),
        created: "2026-01-01".into(),
        expires: "9999-12-31".into(),
    }
}

fn sign(pair: &KeyPair, context: &str, text: String) -> Vec<u8> {
    let bytes = std::io::Cursor::new([context, &text].concat());
    let signature = minisign::sign(Some(&pair.pk), &pair.sk, bytes, None, None).unwrap().into_string();
    serde_json::to_vec(&SignedOrder { order: text, signature }).unwrap()
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["staging", "inbox", "aside", "box", "run"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("trust"), format!("# test\n{}\n", pair.pk.to_base64())).unwrap();
        fs::write(path("box/serial"), "GE-0001").unwrap();
        fs::write(path("box/identity"), identity('q')).unwrap();
        let drop = Depositor::open(&path("staging"), &path("inbox")).unwrap();
        Self { directory, pair, drop }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn signed(&self, order: &Order) -> Vec<u8> {
        sign(&self.pair, gift_wire::ORDER_CONTEXT, serde_json::to_string(order).unwrap())
    }

    fn post(&self, json: &[u8]) {
        self.drop.deposit(b"{}", json).unwrap();
    }

    /// One round; what is asked for afterwards.
    fn take(&self) -> Option<String> {
        let options = Options {
            inbox: self.path("inbox"),
            set_aside: self.path("aside"),
            writer: User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name,
            trust: self.path("trust"),
            this_box: self.path("box"),
            request: self.path("run/request"),
        };
        take(&options).unwrap();
        fs::read_to_string(self.path("run/request")).ok()
    }

    fn waiting(&self) -> usize {
        fs::read_dir(self.path("inbox")).unwrap().count()
    }
}

#[test]
fn an_order_for_this_box_is_asked_for_and_stays_until_it_is_carried_out() {
    for kind in [OrderKind::FactoryReset, OrderKind::Decommission] {
        let bench = Bench::new();
        assert_eq!(bench.take(), None);
        bench.post(&bench.signed(&Order { kind, ..order() }));
        assert_eq!(bench.take().as_deref(), Some(kind.name()));
        // The power goes before anything is erased: the next boot takes it again.
        fs::remove_file(bench.path("run/request")).unwrap();
        assert_eq!(bench.waiting(), 1);
        assert_eq!(bench.take().as_deref(), Some(kind.name()));
    }
}

#[test]
fn an_order_that_was_carried_out_does_not_count_for_the_box_that_it_left() {
    let bench = Bench::new();
    let json = bench.signed(&order());
    bench.post(&json);
    assert!(bench.take().is_some());
    // The reset: another state, another identity. The hub (or who holds it) gives the same order again, and again.
    let after = Bench { pair: bench.pair, ..Bench::new() };
    fs::write(after.path("trust"), format!("{}\n", after.pair.pk.to_base64())).unwrap();
    fs::write(after.path("box/identity"), identity('p')).unwrap();
    for _ in 0..2 {
        after.post(&json);
        assert_eq!(after.take(), None);
        assert_eq!(after.waiting(), 0);
    }
    let next = Order { identity: identity('p'), number: 5, ..order() };
    after.post(&after.signed(&next));
    assert!(after.take().is_some());
}

#[test]
fn what_must_not_be_believed_is_refused_and_erased() {
    let bench = Bench::new();
    let stranger = KeyPair::generate_unencrypted_keypair().unwrap();
    let text = serde_json::to_string(&order()).unwrap();
    let with = |change: &dyn Fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        bench.signed(&order)
    };
    let context = gift_wire::ORDER_CONTEXT;
    let changed = String::from_utf8(bench.signed(&order())).unwrap().replace("factory-reset", "decommission");
    let trust = Trust::parse(&fs::read_to_string(bench.path("trust")).unwrap()).unwrap();
    let this = ThisBox { serial: "GE-0001\n".into(), identity: format!("{}\n", identity('q')) };
    let cases: [(Vec<u8>, Refusal); 15] = [
        (b"{}".to_vec(), Refusal::Form),
        (b"".to_vec(), Refusal::Form),
        (sign(&stranger, context, text.clone()), Refusal::Signature),
        // Signatures that a key of ours made for something else.
        (sign(&bench.pair, "", text.clone()), Refusal::Signature),
        (sign(&bench.pair, UPDATE_CONTEXT, text.clone()), Refusal::Signature),
        (changed.into_bytes(), Refusal::Signature),
        (sign(&bench.pair, context, text.replace("factory-reset", "self-destruct")), Refusal::Form),
        (sign(&bench.pair, context, text.replace('{', "{\"force\":true,")), Refusal::Form),
        (sign(&bench.pair, context, "{}".into()), Refusal::Form),
        (with(&|o| o.version = 2), Refusal::Form),
        (with(&|o| o.number = 0), Refusal::Form),
        (with(&|o| o.serial = "GE-0002".into()), Refusal::Box),
        (with(&|o| o.serial = "GE-00011".into()), Refusal::Box),
        (with(&|o| o.identity = identity('p')), Refusal::Identity),
        (with(&|o| o.expires = "2026-01-02".into()), Refusal::Expired),
    ];
    for (at, (json, refusal)) in cases.iter().enumerate() {
        assert_eq!(believed(json, &trust, &this, "2026-02-01").unwrap_err(), *refusal, "case {at}");
        bench.post(json);
        assert_eq!((bench.take(), bench.waiting()), (None, 0), "case {at}");
    }
    // Its last day is one on which it counts.
    assert!(believed(&with(&|o| o.expires = "2026-02-01".into()), &trust, &this, "2026-02-01").is_ok());
    // What is right is still taken, behind what is not.
    bench.post(&with(&|o| o.serial = "GE-0002".into()));
    bench.post(&bench.signed(&order()));
    assert!(bench.take().is_some());
}

#[test]
fn a_box_that_does_not_know_who_it_is_takes_no_order() {
    let bench = Bench::new();
    fs::remove_file(bench.path("box/identity")).unwrap();
    bench.post(&bench.signed(&order()));
    let options = Options {
        inbox: bench.path("inbox"),
        set_aside: bench.path("aside"),
        writer: User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name,
        trust: bench.path("trust"),
        this_box: bench.path("box"),
        request: bench.path("run/request"),
    };
    assert!(take(&options).is_err());
    assert!(!bench.path("run/request").exists());
}

#[test]
fn what_is_no_item_does_not_stay_in_the_drop() {
    let bench = Bench::new();
    fs::write(bench.path("inbox/x"), "x").unwrap();
    fs::create_dir(bench.path("inbox/0123456789abcdef0123456789abcdef")).unwrap();
    std::os::unix::fs::symlink("/etc", bench.path("inbox/link")).unwrap();
    fs::write(bench.path("inbox/0123456789abcdef0123456789abcdff"), vec![7; 1 << 20]).unwrap();
    assert_eq!((bench.take(), bench.waiting()), (None, 0));
}
