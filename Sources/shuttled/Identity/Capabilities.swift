// Owns sets of capabilities, and what each is called (capabilities(7)).

/// A set of the kernel's capabilities, by their numbers.
struct Capabilities: OptionSet, Hashable, Sendable {
    var rawValue: UInt64

    static let changeOwner = Capabilities(rawValue: 1 << 0)
    static let setGroup = Capabilities(rawValue: 1 << 6)
    static let setUser = Capabilities(rawValue: 1 << 7)
    /// To listen on ports below net.ipv4.ip_unprivileged_port_start.
    static let bindService = Capabilities(rawValue: 1 << 10)

    /// In the order of their numbers, without the `CAP_` that all of them begin with.
    private static let names = [
        "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
        "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
        "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
        "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
        "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
        "checkpoint_restore",
    ]

    /// How many this program knows by name; newer kernels may have more.
    static var count: Int { names.count }

    /// `none`, or their names; those that are not known by their numbers.
    var text: String {
        let members = (0..<64).filter { rawValue & (1 << UInt64($0)) != 0 }
        guard !members.isEmpty else {
            return "none"
        }
        return members.map { $0 < Capabilities.names.count ? Capabilities.names[$0] : "\($0)" }.joined(separator: ", ")
    }
}
