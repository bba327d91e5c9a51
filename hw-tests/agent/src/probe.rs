//! Tries what a unit must not do. Prints one JSON object a line: what was tried, and `errno`, or null where it *worked*.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io,
    net::{TcpStream, UdpSocket},
    os::unix::net::{UnixDatagram, UnixStream},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::Result;
use nix::{
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::ptrace,
    unistd::Pid,
};
use serde_json::json;

use self::view::{HOUSES, allowed, own_program};

mod view;

fn tried(what: impl Into<String>, result: io::Result<()>) {
    let error = result.err();
    let said = error.as_ref().map(ToString::to_string);
    let errno = error.map(|error| match error.kind() {
        // Of our own making: nobody answered in time.
        io::ErrorKind::TimedOut => libc::ETIMEDOUT,
        _ => error.raw_os_error().unwrap_or(-1),
    });
    println!("{}", json!({ "tried": what.into(), "errno": errno, "said": said }));
}

fn syscall(number: libc::c_long, arguments: [libc::c_long; 4]) -> io::Result<()> {
    // SAFETY: every call below passes either plain numbers or addresses of buffers that outlive it; all are meant to fail.
    let [a, b, c, d] = arguments;
    if unsafe { libc::syscall(number, a, b, c, d) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a file. Where that works it does not stay: the box of the tests that follow is this one.
fn created(path: &Path) -> io::Result<()> {
    let made = File::create(path).map(drop);
    if made.is_ok() {
        fs::remove_file(path)?;
    }
    made
}

fn socket(domain: i32, kind: i32, protocol: i32) -> io::Result<()> {
    syscall(libc::SYS_socket, [domain.into(), kind.into(), protocol.into(), 0])
}

/// Tries everything.
pub(crate) fn probe(unit: &str) -> Result<()> {
    directories(unit);
    connections(unit);
    programs(unit)?;
    processes(unit);
    privileges(unit);
    devices(unit);
    sockets(unit);
    // Last: where it works (the bench's check of the probe itself), what follows would see another root.
    surroundings();
    Ok(())
}

fn directories(unit: &str) {
    for house in HOUSES.iter().filter(|house| !allowed(unit).contains(house)) {
        let path = match house.strip_prefix("run:") {
            Some(rest) => format!("/run/gift/{rest}"),
            None => format!("/var/lib/gift/{house}"),
        };
        tried(format!("list {path}"), fs::read_dir(&path).map(drop));
        // A drop's writer may post into its inbox, and that is all it may do there.
        let posts = matches!(
            (unit, *house),
            ("receiver", "intake/inbox")
                | ("deid" | "health", "release/outbox")
                | ("uplink", "policy/inbox" | "update/inbox" | "orders/inbox" | "clock/inbox")
        );
        if !posts {
            tried(format!("write into {path}"), created(&Path::new(&path).join("probe")));
        }
    }
    for path in [
        "/etc/credstore.encrypted",
        "/run/credstore.encrypted",
        "/run/gift/settings",
        "/run/gift/network",
        "/run/systemd/private",
        "/run/credentials",
        "/var/log/journal",
        "/var/lib/systemd",
        "/root",
        "/boot",
        "/efi",
    ] {
        let opened = fs::read_dir(path).and_then(|mut entries| match entries.next() {
            None => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            Some(_) => Ok(()),
        });
        // Its own credential, saved time, or resolv.conf is in a directory of its own; what it lays out, and where kernels are.
        let own = matches!(
            (unit, path),
            ("deid", "/run/credentials")
                | ("time", "/var/lib/systemd")
                | ("name-servers", "/run/gift/settings")
                | (
                    "provision",
                    "/run/credstore.encrypted" | "/run/gift/settings" | "/run/gift/network" | "/var/lib/systemd"
                )
                | ("update" | "update-keep", "/efi")
                | ("firewall", "/run/gift/network")
        );
        if !own {
            tried(format!("anything in {path}"), opened);
        }
    }
    for (name, own) in [
        ("receiver.toml", "receiver"),
        ("deid.toml", "deid"),
        ("uplink.toml", "uplink"),
        ("health.toml", "health"),
        ("button.toml", "button"),
        ("canary.toml", "canary"),
        ("enrolment-token", "uplink"),
        ("hub-roots.pem", "uplink"),
    ] {
        if unit == "provision" {
            continue;
        }
        if unit != own && !(unit == "clock" && name == "hub-roots.pem") {
            tried(format!("read /etc/gift/{name}"), File::open(Path::new("/etc/gift").join(name)).map(drop));
        }
        // Where they are laid out, before the mount of /etc/gift.
        let path = Path::new("/run/gift/settings").join(name);
        tried(format!("read {}", path.display()), File::open(path).map(drop));
    }
    // Planted by the bench in the host's own.
    for path in ["/dev/shm/planted", "/tmp/planted", "/var/tmp/planted"] {
        tried(format!("read {path}"), File::open(path).map(drop));
    }
    for path in [
        "/usr/bin/probe",
        "/etc/probe",
        "/run/probe",
        // An LED, whatever the kernel calls it: `input0::numlock` is not always there.
        &format!("/sys/class/leds/{}/brightness", first_led()),
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/net/ipv4/conf/default/forwarding",
    ] {
        if !(path.contains("leds") && unit == "health" || path == "/run/probe" && unit == "provision") {
            tried(
                format!("write {path}"),
                OpenOptions::new().write(true).create(!path.starts_with("/sys")).open(path).map(drop),
            );
        }
    }
}

fn first_led() -> String {
    let entries = fs::read_dir("/sys/class/leds").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).min().unwrap_or_default()
}

fn connections(unit: &str) {
    let soon = Duration::from_secs(3);
    for address in [
        "192.0.2.10:104",
        "192.0.2.10:11112",
        "198.51.100.1:443",
        "198.51.100.1:8444",
        "198.51.100.1:22",
        "198.51.100.9:443",
        "198.51.100.9:53",
        "127.0.0.1:11112",
    ] {
        // What it is for.
        if !matches!((unit, address), ("uplink", "198.51.100.1:443") | ("canary", "127.0.0.1:11112")) {
            let address = address.parse().map_err(io::Error::other);
            tried(
                format!("connect to {address:?}"),
                address.and_then(|address| TcpStream::connect_timeout(&address, soon)).map(drop),
            );
        }
    }
    for address in ["192.0.2.10:9999", "198.51.100.1:9999", "198.51.100.1:123"] {
        if unit == "time" && address.ends_with(":123") {
            continue;
        }
        let sent = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"probe", address)).map(drop);
        tried(format!("datagram to {address}"), sent);
    }
    // A lease is asked for by packets, and addresses are set by netlink, of its own side.
    tried("name another network namespace", other_namespace());
    if unit != "networkd" {
        tried("raw socket", socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP));
        tried("packet socket", socket(libc::AF_PACKET, libc::SOCK_RAW, 0));
    }
    // Disks come and go by it.
    if !matches!(unit, "networkd" | "update" | "codecs" | "firewall" | "firewall-host") {
        tried("netlink socket", socket(libc::AF_NETLINK, libc::SOCK_RAW, 0));
    }
    tried("vsock socket", socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0));
    // The kernel's hashes.
    if unit != "codecs" {
        tried("alg socket", socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0));
    }
    // Who talks to the hub, to the receiver, to time servers, to DHCP's.
    if !matches!(unit, "uplink" | "canary" | "time" | "networkd") {
        tried("internet socket", socket(libc::AF_INET, libc::SOCK_STREAM, 0));
    }
    if !matches!(unit, "uplink" | "time" | "networkd") {
        tried("IPv6 socket", socket(libc::AF_INET6, libc::SOCK_STREAM, 0));
    }
    for side in ["scanner", "wan"] {
        tried(format!("open /run/netns/{side}"), File::open(format!("/run/netns/{side}")).map(drop));
    }
}

/// Names the network namespace of any other process to the kernel, by which its links could be changed (rtnetlink(7), RTM_NEWNSID).
fn other_namespace() -> io::Result<()> {
    let own = std::process::id();
    let mut last = io::Error::from_raw_os_error(libc::ESRCH);
    for pid in (1..3000_u32).filter(|pid| *pid != own) {
        // nlmsghdr, rtgenmsg (padded), NETNSA_NSID: any, NETNSA_PID.
        let mut message: Vec<u8> =
            [36_u32.to_ne_bytes(), 0_u32.to_ne_bytes(), 1_u32.to_ne_bytes(), 0_u32.to_ne_bytes()].concat();
        message[4..6].copy_from_slice(&libc::RTM_NEWNSID.to_ne_bytes());
        message[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16 | libc::NLM_F_ACK as u16).to_ne_bytes());
        message.extend([0; 4]);
        for (kind, value) in [(1_u16, (-1_i32).to_ne_bytes()), (2, pid.to_ne_bytes())] {
            message.extend(8_u16.to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend(value);
        }
        let socket = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Netlink,
            nix::sys::socket::SockType::Raw,
            nix::sys::socket::SockFlag::empty(),
            nix::sys::socket::SockProtocol::NetlinkRoute,
        )?;
        nix::sys::socket::send(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &message,
            nix::sys::socket::MsgFlags::empty(),
        )?;
        let mut answer = [0; 256];
        nix::sys::socket::recv(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &mut answer,
            nix::sys::socket::MsgFlags::empty(),
        )?;
        // nlmsgerr: the error, negative, behind the header.
        let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        match -error {
            0 | libc::EEXIST => return Ok(()),
            error => last = io::Error::from_raw_os_error(error),
        }
    }
    Err(last)
}

/// Every executable of the image that is not the unit's own. Asked of access(2), which says what execve(2) would (a mount's `noexec`, too)
/// and starts nothing where nothing forbids it.
fn executables(unit: &str, directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.metadata() else { continue };
        let name = name.to_string_lossy();
        let executable = kind.is_file() && std::os::unix::fs::PermissionsExt::mode(&kind.permissions()) & 0o111 != 0;
        if kind.is_dir() {
            executables(unit, &path);
        } else if executable && !own_program(unit, &name) && name != "gift-bench" && !name.contains(".so") {
            let may = nix::unistd::access(&path, nix::unistd::AccessFlags::X_OK);
            tried(format!("may execute {}", path.display()), may.map_err(Into::into));
        }
    }
}

fn programs(unit: &str) -> Result<()> {
    // A small one: /dev/shm has room for a megabyte, and "no room" proves nothing.
    let program = fs::read("/usr/bin/chmod")?;
    for directory in ["/tmp", "/var/tmp", "/dev/shm"] {
        let path = Path::new(directory).join("copy");
        let started = fs::write(&path, &program)
            .and_then(|()| fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)))
            .and_then(|()| Command::new(&path).arg("--version").output().map(drop));
        tried(format!("execute a copy in {directory}"), started);
    }
    for program in [
        "/usr/bin/systemctl",
        "/usr/sbin/nft",
        "/usr/bin/ip",
        "/usr/bin/mount",
        "/usr/bin/systemd-creds",
        "/usr/bin/gift-provision",
        "/usr/bin/gift-keys",
    ] {
        if !Path::new(program).file_name().is_some_and(|name| own_program(unit, &name.to_string_lossy())) {
            tried(format!("execute {program}"), Command::new(program).arg("--version").output().map(drop));
        }
    }
    executables(unit, Path::new("/usr"));
    // The extension with codecs is there for one unit.
    for program in ["/usr/bin/ffmpeg", "/usr/bin/tesseract", "/usr/bin/gift-video", "/run/gift/codecs/usr/bin/ffmpeg"] {
        if unit != "deid" || program.starts_with("/run") {
            tried(format!("execute {program}"), Command::new(program).arg("-version").output().map(drop));
        }
    }
    // Memory that is written and then executed.
    // SAFETY: a mapping of its own, never executed.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    tried(
        "map writable and executable memory",
        if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) },
    );
    Ok(())
}

fn processes(unit: &str) {
    let own = std::process::id().to_string();
    let others: Vec<String> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.parse::<u32>().is_ok() && *name != own)
        .collect();
    let none = if others.is_empty() { Err(io::Error::from_raw_os_error(libc::ENOENT)) } else { Ok(()) };
    // In the machine's namespace of processes, whose names root's group sees; they are as closed to it as to the others.
    if unit != "update-keep" {
        tried(format!("see other processes {others:?}"), none);
    }
    for number in (1..3000).filter(|number| number.to_string() != own) {
        if ptrace::attach(Pid::from_raw(number)).is_ok() {
            tried(format!("ptrace {number}"), Ok(()));
        }
        if File::open(format!("/proc/{number}/mem")).is_ok() {
            tried(format!("open the memory of {number}"), Ok(()));
        }
        if nix::sys::signal::kill(Pid::from_raw(number), None).is_ok() {
            tried(format!("signal {number}"), Ok(()));
        }
    }
    tried("ptrace 1", ptrace::attach(Pid::from_raw(1)).map_err(io::Error::from));
    tried("core dumps", {
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE);
        if matches!(limit, Ok((0, 0))) { Err(io::Error::from_raw_os_error(libc::EPERM)) } else { Ok(()) }
    });
}

fn privileges(unit: &str) {
    let mut zeros = [0_u8; 256];
    let address = zeros.as_mut_ptr() as libc::c_long;
    for (name, number, arguments) in [
        ("bpf", libc::SYS_bpf, [5, address, 128, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [address, 0, -1, -1]),
        ("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, address, 0, 0]),
        ("init_module", libc::SYS_init_module, [address, 256, address, 0]),
        ("kexec_load", libc::SYS_kexec_load, [0, 0, address, 0]),
        ("reboot", libc::SYS_reboot, [0xfee1_dead, 672_274_793, 0, 0]),
        ("settimeofday", libc::SYS_settimeofday, [address, 0, 0, 0]),
        ("sethostname", libc::SYS_sethostname, [address, 1, 0, 0]),
        ("setuid 0", libc::SYS_setuid, [0, 0, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0, -3, 0, 0]),
        ("syslog", libc::SYS_syslog, [10, 0, 0, 0]),
        ("iopl", libc::SYS_iopl, [3, 0, 0, 0]),
        ("personality", libc::SYS_personality, [0x0040_0000, 0, 0, 0]),
    ] {
        // What it is for, or what it is already: it would work.
        if !(unit == "time" && name == "settimeofday" || name == "setuid 0" && nix::unistd::getuid().is_root()) {
            tried(name, syscall(number, arguments));
        }
    }
    let (local, remote) = ([address, 8_i64], [0x40_0000_i64, 8]);
    let read = [1, local.as_ptr() as libc::c_long, 1, remote.as_ptr() as libc::c_long, 1, 0];
    // SAFETY: both vectors and the buffer outlive the call, which writes at most 8 bytes of it.
    let done =
        unsafe { libc::syscall(libc::SYS_process_vm_readv, read[0], read[1], read[2], read[3], read[4], read[5]) };
    let read = if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // In a PID namespace of its own the probe is number 1.
    if std::process::id() != 1 {
        tried("process_vm_readv", read);
    }
    // The groups of drops it has no part in, and everybody else's.
    let own: Vec<u32> = nix::unistd::getgroups().into_iter().flatten().map(nix::unistd::Gid::as_raw).collect();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    for line in groups.lines().filter(|line| line.starts_with("gift-")) {
        let mut fields = line.split(':');
        let (Some(name), Some(Ok(number))) = (fields.next(), fields.nth(1).map(str::parse::<u32>)) else { continue };
        if !own.contains(&number) && nix::unistd::getgid().as_raw() != number {
            tried(format!("become {name}"), syscall(libc::SYS_setgid, [number.into(), 0, 0, 0]));
        }
    }
}

fn surroundings() {
    for (name, flag) in
        [("user", CloneFlags::CLONE_NEWUSER), ("network", CloneFlags::CLONE_NEWNET), ("mount", CloneFlags::CLONE_NEWNS)]
    {
        tried(format!("new {name} namespace"), unshare(flag).map_err(io::Error::from));
    }
    tried("mount", mount(Some("none"), "/tmp", Some("tmpfs"), MsFlags::empty(), None::<&str>).map_err(io::Error::from));
    tried(
        "chroot",
        CString::new("/tmp")
            .map_err(io::Error::other)
            .and_then(|path| syscall(libc::SYS_chroot, [path.as_ptr() as libc::c_long, 0, 0, 0])),
    );
}

fn devices(unit: &str) {
    for path in [
        "/dev/mem",
        "/dev/kmsg",
        "/dev/nvme0n1",
        "/dev/mapper/gift-state",
        "/dev/disk/by-partlabel/gift-provision",
        "/dev/tpm0",
        "/dev/tpmrm0",
        "/dev/watchdog0",
        "/dev/ttyS0",
        "/dev/input/event0",
        "/dev/fuse",
        "/dev/loop-control",
    ] {
        // Who it is for; partitions are of one kind with the disk that they are on.
        let own = match unit {
            "signer" => path == "/dev/tpmrm0",
            "update" | "codecs" => ["/dev/nvme0n1", "/dev/disk/by-partlabel/gift-provision"].contains(&path),
            _ => false,
        };
        if !own {
            tried(format!("open {path}"), OpenOptions::new().read(true).write(true).open(path).map(drop));
        }
    }
    let device = CString::new("/tmp/device").unwrap_or_default();
    tried(
        "make a device node",
        syscall(libc::SYS_mknod, [device.as_ptr() as libc::c_long, (libc::S_IFCHR | 0o600).into(), 0x101, 0]),
    );
}

fn sockets(unit: &str) {
    // The bench planted both, open to everybody, where it is.
    // The device mapper tells udev by System V semaphores that a device is made.
    if unit != "codecs" {
        tried("reach the planted shared memory", syscall(libc::SYS_shmget, [super::PLANTED_KEY, 0, 0, 0]));
        tried("reach the planted message queue", syscall(libc::SYS_msgget, [super::PLANTED_KEY, 0, 0, 0]));
    }
    for path in [
        "/run/systemd/private",
        "/run/dbus/system_bus_socket",
        "/run/systemd/io.systemd.PCRExtend",
        "/run/systemd/journal/io.systemd.journal",
        "/run/udev/control",
        "/run/gift/signer/socket",
    ] {
        // Who may ask; by the other one udev shows that it runs.
        if !matches!((unit, path), ("uplink", "/run/gift/signer/socket") | ("codecs", "/run/udev/control")) {
            tried(format!("connect to {path}"), UnixStream::connect(path).map(drop));
        }
    }
    // Nor may the uplink put a socket of its own there.
    tried("write into /run/gift/signer", created(Path::new("/run/gift/signer/probe")));
    let other = UnixDatagram::unbound().and_then(|socket| socket.connect("/run/systemd/journal/dev-log")).map(drop);
    tried("connect to /run/systemd/journal/dev-log", other);
}
