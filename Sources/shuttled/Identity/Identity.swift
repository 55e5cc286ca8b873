// Owns becoming another user for good, with one right kept, and that it is so afterwards.
// Leaves to others: who that is and whether it may be (IdentityPlan), when in the start it happens (Startup).

import CPrivileges
import Glibc

/// Changes of what this process is. All of it concerns the calling thread, and threads get what the one that starts them has: so it
/// has to happen before there are others.
enum Identity {
    /// From here on no program that is executed gets more than this process has, prctl(2). Cannot be taken back.
    static func forbidNewPrivileges() throws(IdentityRefusal) {
        try check(shuttle_prctl(PR_SET_NO_NEW_PRIVS, 1), "set no_new_privs")
    }

    /// Whether other threads would keep what this one gives up.
    static var isOnlyThread: Bool {
        guard let folder = opendir("/proc/self/task") else {
            return false
        }
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) {
            // Not "." and "..".
            if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        return count == 1
    }

    /// Does something, such as reading files, as the user will be able to do it, and is itself again.
    ///
    /// Supplementary groups are given up for good: nothing later is to depend on them.
    static func asUser<Value, Failure: Error>(
        _ wanted: WantedIdentity?, _ body: () throws(Failure) -> Value, orFailure: (IdentityRefusal) -> Failure
    ) throws(Failure) -> Value {
        guard let wanted else {
            return try body()
        }
        let before = Privileges.ofThisThread()
        do throws(IdentityRefusal) {
            try check(shuttle_set_groups(0, nil), "drop supplementary groups")
            try check(shuttle_set_group(.max, wanted.group, .max), "take the group \(wanted.groupName)")
            try check(shuttle_set_user(.max, wanted.user, .max), "take the user \(wanted.userName)")
        } catch {
            throw orFailure(error)
        }
        defer {
            _ = shuttle_set_user(.max, before.users[1], .max)
            _ = shuttle_set_group(.max, before.groups[1], .max)
        }
        return try body()
    }

    /// Becomes the user and group, for good, and looks whether it is so.
    ///
    /// What remains is CAP_NET_BIND_SERVICE, if it was there and `keepingPorts`: permitted and effective, so that listeners can be
    /// added later, and neither inheritable nor ambient.
    static func change(to wanted: WantedIdentity, keepingPorts: Bool) throws(IdentityRefusal) {
        let kept: Capabilities = keepingPorts ? .bindService : []
        if keepingPorts {
            try check(shuttle_prctl(PR_SET_KEEPCAPS, 1), "keep capabilities (PR_SET_KEEPCAPS)")
        }
        // No program that this process might execute could gain them either. Without CAP_SETPCAP no_new_privs alone sees to it.
        for number in 0..<UInt(64) where !kept.contains(Capabilities(rawValue: 1 << UInt64(number))) {
            guard shuttle_prctl(PR_CAPBSET_DROP, number) == 0 else { break }
        }
        try check(shuttle_set_groups(0, nil), "drop supplementary groups")
        try check(shuttle_set_group(wanted.group, wanted.group, wanted.group), "take the group \(wanted.groupName)")
        try check(shuttle_set_user(wanted.user, wanted.user, wanted.user), "take the user \(wanted.userName)")
        _ = shuttle_ambient(PR_CAP_AMBIENT_CLEAR_ALL, 0)
        try check(
            shuttle_capabilities_set(
                shuttle_capabilities(permitted: kept.rawValue, effective: kept.rawValue, inheritable: 0)),
            "give up all capabilities but \(kept.text)")
        _ = shuttle_prctl(PR_SET_KEEPCAPS, 0)
        try verify(wanted, kept)
    }

    /// Trusts no return value: asks what this process is now, and tries to become root again.
    private static func verify(_ wanted: WantedIdentity, _ kept: Capabilities) throws(IdentityRefusal) {
        let now = Privileges.ofThisThread()
        let isChanged =
            now.users.allSatisfy { $0 == wanted.user } && now.groups.allSatisfy { $0 == wanted.group }
            && now.supplementaryGroups.allSatisfy { $0 == wanted.group } && now.permitted == kept
            && now.effective == kept
            && now.inheritable.isEmpty && now.ambient.isEmpty && now.hasNoNewPrivileges
        guard isChanged else {
            throw IdentityRefusal(
                text:
                    "-user is \"\(wanted.userName)\", and the kernel has not made this process that, though it said so: "
                    + now.lines.joined(separator: "; "))
        }
        guard shuttle_set_user(0, 0, 0) != 0 else {
            throw IdentityRefusal(
                text: "-user is \"\(wanted.userName)\", and this process could become root again afterwards")
        }
    }

    private static func check(_ outcome: Int32, _ what: String) throws(IdentityRefusal) {
        guard outcome < 0 else {
            return
        }
        throw IdentityRefusal(
            text:
                "the kernel does not let this process \(what): \(String(cString: strerror(-outcome))); a seccomp filter or locked "
                + "securebits may forbid it: start shuttled outside of them, or let the service manager change the user and leave "
                + "out -user")
    }
}
