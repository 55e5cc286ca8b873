// Owns what -user and -group mean on this machine, and whether a process may become that.
// Leaves to others: becoming it (Identity), the flags (Options).

import ShuttleEngine

/// The user and group to serve as.
struct WantedIdentity: Equatable, Sendable {
    var user: UInt32
    var userName: String
    var group: UInt32
    var groupName: String
}

/// Why the flags cannot be followed; the text names the flag, its value and the remedy.
struct IdentityRefusal: Error, Equatable, Sendable {
    var text: String
}

extension WantedIdentity {
    /// What the flags name; without -group the user's primary group.
    ///
    /// - Parameter users: Of the machine, by name or number; the same with `groups`.
    init(
        user: String, group: String?, users: (String) -> Accounts.User?, groups: (String) -> Accounts.Group?
    ) throws(IdentityRefusal) {
        let account = users(user)
        guard let number = account?.number ?? WantedIdentity.number(user) else {
            throw IdentityRefusal(text: WantedIdentity.unknown("user", user, list: "passwd"))
        }
        guard number != 0 else {
            throw IdentityRefusal(
                text:
                    "-user is \(Quoted(user)), who may do everything, so that nothing would be given up; name another user, such "
                    + "as one made by `useradd --system shuttle`, or leave the flag out")
        }
        self.user = number
        userName = account?.name ?? user
        if let group {
            let found = groups(group)
            guard let number = found?.number ?? WantedIdentity.number(group) else {
                throw IdentityRefusal(text: WantedIdentity.unknown("group", group, list: "group"))
            }
            self.group = number
            groupName = found?.name ?? group
        } else if let account {
            self.group = account.group
            groupName = groups("\(account.group)")?.name ?? "\(account.group)"
        } else {
            throw IdentityRefusal(
                text:
                    "-user is \(Quoted(user)), a number that this machine has no user for, so that its group is not known; "
                    + "name one with -group")
        }
    }

    /// As this machine knows them.
    init(user: String, group: String?) throws(IdentityRefusal) {
        try self.init(
            user: user, group: group,
            users: { name in
                WantedIdentity.number(name).map { Accounts.user(numbered: $0) } ?? Accounts.user(named: name)
            },
            groups: { name in
                WantedIdentity.number(name).map { Accounts.group(numbered: $0) } ?? Accounts.group(named: name)
            })
    }

    /// The highest is what calls take for "no change".
    private static func number(_ text: String) -> UInt32? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = UInt32(text), number != .max
        else {
            return nil
        }
        return number
    }

    private static func unknown(_ kind: String, _ name: String, list: String) -> String {
        "-\(kind) is \(Quoted(name)); this machine has no \(kind) of that name (`getent \(list)` lists them); name one that it "
            + "has, or a number"
    }
}

/// What is to be done so that a process is what is wanted.
enum IdentityPlan: Equatable, Sendable {
    /// It is that already: it is for the service manager, or whoever started it, what else it may do.
    case isAlready
    /// Give up everything but, where there is something to keep, the right to listen on low ports.
    case change(keepingPorts: Bool)

    init(for wanted: WantedIdentity, being present: Privileges) throws(IdentityRefusal) {
        if present.users.allSatisfy({ $0 == wanted.user }), present.groups.allSatisfy({ $0 == wanted.group }) {
            self = .isAlready
            return
        }
        guard present.effective.isSuperset(of: [.setUser, .setGroup]) else {
            let others = present.users[1] == 0 ? "root here has no" : "this process has no"
            throw IdentityRefusal(
                text:
                    "-user is \(Quoted(wanted.userName)), and \(others) CAP_SETUID and CAP_SETGID to become another user with; "
                    + "start shuttled as root, let the service manager do it (User= of systemd, --user of a container), or leave "
                    + "the flag out")
        }
        self = .change(keepingPorts: present.permitted.contains(.bindService))
    }
}
