//! What a process gives up before it becomes somebody else's program (Tesseract, ffmpeg), and what the process that started it and
//! reads its words gives up. The program keeps: reading its libraries and what it is given by name (landlock), becoming that one
//! program, memory, processor time and file size up to a limit, and the system calls of `PROGRAM_CALLS`; what else it calls fails.
//! It loses every other file, every socket, every process but itself. The reader keeps its pipes and the program's end.
//!
//! Relies on seccomp and on landlock: the program has the user of the de-identifier, so without landlock it does not run at all.

use std::{collections::BTreeMap, os::fd::AsFd as _, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, Scope,
};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
};
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule};

/// What landlock is asked for, as far as the kernel has it.
const NEWEST: ABI = ABI::V6;
/// Descriptors of the program.
const DESCRIPTORS: u64 = 64;
/// Where shared libraries are.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
/// What loads them: the program's interpreter, which the kernel executes.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
/// Where the loader looks up libraries.
const LIBRARY_CACHE: &str = "/etc/ld.so.cache";

/// What both may call: memory, time, the runtime of one thread.
const CALLS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
];

/// What the program may call besides: becoming it, loading its libraries, opening what landlock allows.
const PROGRAM_CALLS: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_newfstatat,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    // A runtime asks at its start whether the standard descriptors are open.
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_sched_getaffinity,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// What a program with threads may call besides. `clone` only for a thread, see `program_rules`; `clone3`, whose flags a filter cannot
/// see, is answered as by a kernel without it. `dup`: ffmpeg 7 works on copies of the descriptors it is given.
const THREAD_CALLS: &[libc::c_long] = &[libc::SYS_clone3, libc::SYS_clock_nanosleep, libc::SYS_dup];

/// Why the sandbox could not be closed. The process must end.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A limit or process attribute.
    #[error("process attribute or limit: {0}")]
    Limit(#[from] nix::Error),
    /// Landlock refused the rule set, or the kernel has none.
    #[error("landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The filter cannot be built for this machine.
    #[error("system call filter: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel refused the filter.
    #[error("system call filter: {0}")]
    Install(#[from] seccompiler::Error),
    /// The list of descriptors cannot be read.
    #[error("descriptors: {0}")]
    Descriptors(#[from] std::io::Error),
    /// Nobody has the other end of standard output any more.
    #[error("nobody reads")]
    Gone,
}

/// A program, and what it may use.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its file.
    pub path: &'a Path,
    /// A file or directory it may read besides its libraries.
    pub readable: Option<&'a Path>,
    /// Address space, bytes.
    pub memory_bytes: u64,
    /// Processor time.
    pub seconds: u64,
    /// Largest file it may write by a descriptor it has, bytes; pipes are no files.
    pub file_bytes: u64,
    /// Whether it may start threads. Their number is bounded by the unit's alone.
    pub threads: bool,
}

/// Closes every descriptor but the standard ones.
///
/// # Errors
/// The list of them cannot be read.
pub fn close_inherited() -> Result<(), ConfineError> {
    let listed: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&descriptor| descriptor > 2)
        .collect();
    for descriptor in listed {
        // The list's own descriptor is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Closes the sandbox around the calling process, which is to become `program`.
///
/// # Errors
/// Any step failed, or the kernel has no landlock; the process must end.
pub fn enter_program(program: &Program<'_>) -> Result<(), ConfineError> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A parent that died before that sends no signal; nobody has the other end of the pipe then.
    let stdout = std::io::stdout();
    let mut pipe = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut pipe, PollTimeout::ZERO)?;
    if !pipe[0].revents().is_some_and(|events| events.is_empty()) {
        return Err(ConfineError::Gone);
    }
    prctl::set_no_new_privs()?;
    for (resource, limit) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_AS, program.memory_bytes),
        (Resource::RLIMIT_CPU, program.seconds),
        (Resource::RLIMIT_FSIZE, program.file_bytes),
        (Resource::RLIMIT_NOFILE, DESCRIPTORS),
        (Resource::RLIMIT_MEMLOCK, 0),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    if !program.threads {
        setrlimit(Resource::RLIMIT_NPROC, 0, 0)?;
    }
    let (read, list, execute) = (AccessFs::ReadFile, AccessFs::ReadDir, AccessFs::Execute);
    let mut allowed: Vec<(&Path, BitFlags<AccessFs>)> = vec![(program.path, read | execute)];
    allowed.extend(program.readable.map(|path| (path, read | list)));
    allowed.extend(LIBRARIES.map(|path| (Path::new(path), read | list)));
    allowed.extend(LOADERS.map(|path| (Path::new(path), read | execute)));
    allowed.push((Path::new(LIBRARY_CACHE), read.into()));
    restrict(&allowed, Scope::from_all(NEWEST))?;
    if program.threads {
        // The C library then asks for the same with clone. This first: the other filter lets no more be added.
        let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        install(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    }
    let mut calls = [CALLS, PROGRAM_CALLS].concat();
    let mut rules = program_rules()?;
    if program.threads {
        calls.extend(THREAD_CALLS);
        let thread = SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, thread, libc::CLONE_THREAD as u64)?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![condition])?]);
    }
    filter(&calls, rules, SeccompAction::Errno(libc::EPERM as u32))
}

/// Closes the sandbox around a process that has started the program and reads what it says.
///
/// # Errors
/// As [`enter_program`].
pub fn enter_reader() -> Result<(), ConfineError> {
    prctl::set_no_new_privs()?;
    // Its death is a signal to the program, which a scope would keep from it.
    restrict(&[], Scope::AbstractUnixSocket.into())?;
    let calls = [CALLS, &[libc::SYS_wait4, libc::SYS_waitid]].concat();
    filter(&calls, asking_only()?, SeccompAction::KillProcess)
}

/// Takes all of the file system but `allowed`, which may be absent, and where the kernel can, TCP and abstract sockets.
fn restrict(allowed: &[(&Path, BitFlags<AccessFs>)], scope: BitFlags<Scope>) -> Result<(), ConfineError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(scope)?
        .create()?;
    for (path, access) in allowed {
        if let Ok(opened) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(opened, *access))?;
        }
    }
    rules.restrict_self()?;
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn program_rules() -> Result<Rules, ConfineError> {
    let mut rules = asking_only()?;
    // Limits may be asked for, not set; whether a descriptor is a terminal is all that is asked of one.
    rules.insert(libc::SYS_prlimit64, vec![when(2, SeccompCmpArgLen::Qword, 0)?]);
    rules.insert(libc::SYS_ioctl, vec![when(1, SeccompCmpArgLen::Dword, libc::TCGETS)?]);
    Ok(rules)
}

/// Signals to itself only (abort), and of descriptors only their flags.
fn asking_only() -> Result<Rules, ConfineError> {
    let flags = [libc::F_GETFD, libc::F_GETFL].map(|what| when(1, SeccompCmpArgLen::Dword, what as u64));
    Ok(BTreeMap::from([
        (libc::SYS_tgkill, vec![when(0, SeccompCmpArgLen::Dword, u64::from(std::process::id()))?]),
        (libc::SYS_fcntl, flags.into_iter().collect::<Result<_, _>>()?),
    ]))
}

fn when(argument: u8, length: SeccompCmpArgLen, value: u64) -> Result<SeccompRule, ConfineError> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, length, SeccompCmpOp::Eq, value)?])?)
}

fn filter(calls: &[libc::c_long], mut rules: Rules, otherwise: SeccompAction) -> Result<(), ConfineError> {
    rules.extend(calls.iter().map(|&call| (call, Vec::new())));
    install(rules, otherwise, SeccompAction::Allow)
}

fn install(rules: Rules, otherwise: SeccompAction, on_match: SeccompAction) -> Result<(), ConfineError> {
    let machine = std::env::consts::ARCH.try_into()?;
    let program: seccompiler::BpfProgram = SeccompFilter::new(rules, otherwise, on_match, machine)?.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}
