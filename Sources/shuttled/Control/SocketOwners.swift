// Owns finding out which users and groups of this machine the names in a configuration are.
// Leaves to others: how they are written (SocketPermissions), asking the machine (Accounts), giving files to them (ShuttleEngine).

import ShuttleEngine

/// Users and groups by name.
enum SocketOwners {
    /// A name, and what it is one of.
    struct Name: Hashable {
        var kind: Kind
        var text: String
    }

    enum Kind: Hashable {
        case user, group

        /// The field that names one.
        var field: String { self == .user ? "socket_owner" : "socket_group" }
    }

    /// The number of a user or a group; nil where the machine has none of that name.
    static func number(of name: String, _ kind: Kind) -> UInt32? {
        if let number = SocketPermissions.number(of: name) {
            return number
        }
        return kind == .user ? Accounts.user(named: name)?.number : Accounts.group(named: name)?.number
    }

    /// What is wrong with a name that the machine does not know, as the detail of an issue.
    static func problem(with name: String, _ kind: Kind) -> String {
        let (word, list) = kind == .user ? ("user", "passwd") : ("group", "group")
        return
            "\"\(kind.field)\" is \(Quoted(name)); this machine has no \(word) of that name (`getent \(list)` lists them); "
            + "write one that it has, or a number"
    }
}
