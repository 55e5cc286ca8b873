// Owns the words for a machine on which io_uring cannot be used: cause, evidence, remedy. Facts in, text out.
// Leaves to others: gathering the facts (MachineFacts), the exit code (shuttled).

import Glibc

/// What tells apart the reasons for which the kernel refuses a ring.
public struct MachineFacts: Equatable, Sendable {
    /// `uname -r`.
    var kernelRelease: String
    /// /proc/sys/kernel/io_uring_disabled; `nil` where it does not exist (before Linux 6.6) or cannot be read.
    var ioUringDisabled: Int?
    /// `Seccomp:` of /proc/self/status: 0 none, 2 filter.
    var seccompMode: Int?
    /// RLIMIT_MEMLOCK in bytes; `nil` for no limit.
    var lockedMemoryLimit: UInt64?

    static let minimumKernel = (major: 6, minor: 1)

    /// Whether the release is older than the minimum; `false` when it cannot be read.
    var isKernelTooOld: Bool {
        let parts = kernelRelease.split(separator: ".", maxSplits: 2)
        guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1].prefix { $0.isNumber }) else {
            return false
        }
        return (major, minor) < MachineFacts.minimumKernel
    }
}

/// Turns the errno of a failed ring into a diagnosis.
struct RingDiagnosis {
    let code: Int32
    let ringCount: Int
    let facts: MachineFacts

    var text: String {
        let meaning = String(cString: strerror(code))
        return "io_uring is not usable here: creating a ring failed with errno \(code) (\(symbol)\(meaning)). "
            + "Kernel \(facts.kernelRelease). \(cause)"
    }

    /// The errno as manuals and search engines know it.
    private var symbol: String {
        switch code {
        case EPERM: "EPERM, "
        case EACCES: "EACCES, "
        case ENOSYS: "ENOSYS, "
        case ENOMEM: "ENOMEM, "
        case EINVAL: "EINVAL, "
        case EMFILE: "EMFILE, "
        case ENFILE: "ENFILE, "
        default: ""
        }
    }

    private var cause: String {
        if facts.isKernelTooOld {
            return "This kernel is too old: shuttle needs Linux 6.1 or newer. Remedy: run a newer kernel."
        }
        switch code {
        case EPERM, EACCES: return permissionCause
        case ENOSYS:
            return "The kernel was built without io_uring, or a sandbox (gVisor, a seccomp profile answering ENOSYS) "
                + "hides it. Remedy: a kernel with CONFIG_IO_URING=y, or a profile that allows io_uring_setup, "
                + "io_uring_enter and io_uring_register."
        case ENOMEM:
            let limit = facts.lockedMemoryLimit.map { "\($0 / 1024) KiB" } ?? "unlimited"
            return "Rings are charged to the locked memory of the user, limited to \(limit) (RLIMIT_MEMLOCK), and "
                + "\(ringCount) of them do not fit. Remedy: LimitMEMLOCK=infinity in the systemd unit, "
                + "`ulimit -l unlimited`, or fewer rings with -rings."
        case EMFILE, ENFILE:
            return "Too many open files. Remedy: raise LimitNOFILE= in the systemd unit or `ulimit -n`."
        case EINVAL:
            return "The kernel refuses the setup shuttle needs (single issuer and deferred task work, Linux 6.1). "
                + "Remedy: run a newer kernel."
        default:
            return "Remedy: see io_uring_setup(2) for this errno."
        }
    }

    private var permissionCause: String {
        switch facts.ioUringDisabled {
        case 2?:
            return "The sysctl kernel.io_uring_disabled is 2: nobody may use io_uring. "
                + "Remedy: sysctl -w kernel.io_uring_disabled=0."
        case 1?:
            return "The sysctl kernel.io_uring_disabled is 1: only members of the group in kernel.io_uring_group and "
                + "processes with CAP_SYS_ADMIN may use io_uring. Remedy: put shuttle's user into that group, or "
                + "sysctl -w kernel.io_uring_disabled=0."
        default:
            let evidence = facts.seccompMode == 2 ? "a seccomp filter is active (Seccomp: 2 in /proc/self/status)" : ""
            let seen = evidence.isEmpty ? "probably a security module or sandbox" : evidence
            return "The sysctl kernel.io_uring_disabled does not forbid it; \(seen), and the default profiles of "
                + "Docker and containerd block io_uring. Remedy: a seccomp profile that allows io_uring_setup, io_uring_enter "
                + "and io_uring_register (Docker: --security-opt seccomp=PROFILE.json)."
        }
    }
}
