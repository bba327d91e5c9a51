//! What of the state and of `/run/gift` each unit sees, and which programs are its own.

/// What a unit may see of the state and of `/run/gift`: its own houses and drops (dist/README.md).
pub(super) fn allowed(unit: &str) -> &'static [&'static str] {
    match unit {
        "receiver" => &["intake", "intake/staging", "run:status/receiver"],
        "deid" => &[
            "intake",
            "intake/inbox",
            "deid",
            "release",
            "release/staging-deid",
            "policy",
            "policy/inbox",
            "run:status/deid",
        ],
        "uplink" => &[
            "release",
            "release/outbox",
            "uplink",
            "policy",
            "policy/staging",
            "update",
            "update/staging",
            "orders",
            "orders/staging",
            "clock",
            "clock/staging",
            "run:status/uplink",
            "run:signer",
        ],
        "signer" => &["signer"],
        "health" => &[
            "release",
            "release/staging-health",
            "run:status/receiver",
            "run:status/deid",
            "run:status/uplink",
            "run:status/health",
            "run:status/updater",
            "run:netif/scanner",
        ],
        "button" => &["run:button"],
        "clock" => &["clock", "clock/inbox", "clock/set-aside"],
        "name-servers" => &["run:netif/wan"],
        // It lays out what is below /run. (What stands in the place of the signer's directory is empty.)
        "provision" => &[
            "provision",
            "run:signer",
            "run:status/receiver",
            "run:status/deid",
            "run:status/uplink",
            "run:status/health",
            "run:status/updater",
            "run:updater",
            "run:eraser",
            "run:button",
            "run:netif/scanner",
            "run:netif/wan",
        ],
        "update" => &["update/inbox", "updater", "run:status/updater", "run:updater"],
        "update-check" => {
            &["run:status/receiver", "run:status/deid", "run:status/uplink", "run:status/health", "run:status/updater"]
        }
        "update-keep" => &["updater", "run:status/updater", "run:updater"],
        "update-settle" => &["updater", "run:status/updater"],
        "order" => &["orders/inbox", "orders/set-aside", "run:eraser"],
        "erase" => &["run:eraser", "run:button"],
        _ => &[],
    }
}

pub(super) const HOUSES: &[&str] = &[
    "provision",
    "intake/staging",
    "intake/inbox",
    "deid",
    "release/staging-deid",
    "release/staging-health",
    "release/outbox",
    "policy/staging",
    "policy/inbox",
    "update/staging",
    "update/inbox",
    "updater",
    "orders/staging",
    "orders/inbox",
    "orders/set-aside",
    "clock/staging",
    "clock/inbox",
    "clock/set-aside",
    "uplink",
    "signer",
    "run:status/receiver",
    "run:status/deid",
    "run:status/uplink",
    "run:status/health",
    "run:status/updater",
    "run:updater",
    "run:signer",
    "run:eraser",
    "run:button",
    "run:netif/scanner",
    "run:netif/wan",
];

/// Whether a unit is there to run this program, itself or from its own.
pub(super) fn own_program(unit: &str, name: &str) -> bool {
    match unit {
        "time" => name == "systemd-timesyncd",
        "name-servers" => name == "gift-provision",
        "deid" => ["gift-deid", "gift-ocr", "gift-video", "ffmpeg", "tesseract"].contains(&name),
        "networkd" => name == "systemd-networkd",
        "provision" => ["gift-provision", "gift-keys", "systemd-creds"].contains(&name),
        "codecs" => ["udevadm", "veritysetup", "systemd-veritysetup"].contains(&name),
        "update" => ["gift-updater", "systemd-sysupdate", "systemd-import"].contains(&name),
        "update-keep" => ["gift-updater", "systemd-bless-boot"].contains(&name),
        "update-check" | "update-settle" => name == "gift-updater",
        "order" | "erase" => name == "gift-eraser",
        "firewall" | "firewall-host" => name == "nft",
        _ => name == format!("gift-{unit}"),
    }
}
