// Owns what the calling thread is and may do, as the kernel tells it, and how that is put in words.
// Leaves to others: changing it (Identity).

import CPrivileges
import Glibc
import ShuttleEngine

/// Who a thread is and what it may do, credentials(7) and capabilities(7).
struct Privileges: Equatable, Sendable {
    /// Real, effective and saved.
    var users: [UInt32]
    var groups: [UInt32]
    /// Besides that of `groups`.
    var supplementaryGroups: [UInt32]
    var permitted: Capabilities
    var effective: Capabilities
    var inheritable: Capabilities
    var ambient: Capabilities
    var bounding: Capabilities
    /// Whether no program that it executes can have more (PR_SET_NO_NEW_PRIVS).
    var hasNoNewPrivileges: Bool
    /// As of `Seccomp:` in /proc/self/status: 0 none, 2 filter; nil where the kernel does not tell.
    var seccompMode: Int?
    /// The first port that everybody may listen on (net.ipv4.ip_unprivileged_port_start).
    var unprivilegedPortStart: Int

    /// Ports below 1024, all of them.
    var canBindLowPorts: Bool { effective.contains(.bindService) || unprivilegedPortStart <= 1 }

    static func ofThisThread() -> Privileges {
        var users: [UInt32] = [0, 0, 0]
        var groups: [UInt32] = [0, 0, 0]
        _ = shuttle_user_ids(&users)
        _ = shuttle_group_ids(&groups)
        var supplementary = [gid_t](repeating: 0, count: max(0, Int(getgroups(0, nil))))
        let count = getgroups(Int32(supplementary.count), &supplementary)
        var sets = shuttle_capabilities()
        _ = shuttle_capabilities_get(&sets)
        var ambient: UInt64 = 0
        var bounding: UInt64 = 0
        for capability in 0..<UInt(64) {
            if shuttle_ambient(PR_CAP_AMBIENT_IS_SET, capability) == 1 { ambient |= 1 << UInt64(capability) }
            if shuttle_prctl(PR_CAPBSET_READ, capability) == 1 { bounding |= 1 << UInt64(capability) }
        }
        return Privileges(
            users: users, groups: groups, supplementaryGroups: Array(supplementary.prefix(max(0, Int(count)))),
            permitted: Capabilities(rawValue: sets.permitted), effective: Capabilities(rawValue: sets.effective),
            inheritable: Capabilities(rawValue: sets.inheritable), ambient: Capabilities(rawValue: ambient),
            bounding: Capabilities(rawValue: bounding),
            hasNoNewPrivileges: shuttle_prctl(PR_GET_NO_NEW_PRIVS, 0) == 1,
            seccompMode: MachineFacts.seccompMode(), unprivilegedPortStart: MachineFacts.unprivilegedPortStart()
        )
    }

    /// For `-check`, a line each.
    var lines: [String] {
        let further = supplementaryGroups.filter { !groups.contains($0) }
        let ports =
            canBindLowPorts
            ? "ports below 1024 can be listened on"
            : "ports below \(unprivilegedPortStart) cannot be listened on"
        return [
            "user: \(Privileges.text(users, Privileges.userName)), group: \(Privileges.text(groups, Privileges.groupName)), "
                + "supplementary groups: "
                + (further.isEmpty ? "none" : further.map(Privileges.groupName).joined(separator: ", ")),
            "capabilities: \(effective.text)" + (permitted == effective ? "" : " (permitted: \(permitted.text))")
                + "; \(ports)",
            "no new privileges: \(hasNoNewPrivileges ? "set" : "not set"), seccomp: \(seccompText), capabilities that could be "
                + "gained: \(hasNoNewPrivileges ? "none" : bounding.text)",
        ]
    }

    private var seccompText: String {
        switch seccompMode {
        case 0: "none"
        case 2: "a filter is active"
        case let mode?: "mode \(mode)"
        case nil: "unknown"
        }
    }

    /// One, where all three are the same.
    private static func text(_ numbers: [UInt32], _ name: (UInt32) -> String) -> String {
        Set(numbers).count == 1
            ? name(numbers[0])
            : "\(name(numbers[0])) (effective \(name(numbers[1])), saved \(name(numbers[2])))"
    }

    static func userName(_ number: UInt32) -> String {
        Accounts.user(numbered: number).map { "\($0.name) (\(number))" } ?? "\(number)"
    }

    static func groupName(_ number: UInt32) -> String {
        Accounts.group(numbered: number).map { "\($0.name) (\(number))" } ?? "\(number)"
    }
}
