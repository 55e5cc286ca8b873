// Owns finding out which users and groups of this machine the names in a configuration are.
// Leaves to others: how they are written (SocketPermissions), and giving files to them (ShuttleEngine).

import Glibc
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

    /// Entries of directory services may be long, those of groups have all members in them.
    private static let bytesMax = 1 << 20

    /// The number of a user or a group; nil where the machine has none of that name.
    static func number(of name: String, _ kind: Kind) -> UInt32? {
        if let number = SocketPermissions.number(of: name) {
            return number
        }
        var size = 1024
        while size <= bytesMax {
            let (code, number) = look(name, kind, bufferSize: size)
            guard code == ERANGE else {
                return number
            }
            size *= 4
        }
        return nil
    }

    private static func look(_ name: String, _ kind: Kind, bufferSize: Int) -> (code: Int32, number: UInt32?) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: bufferSize) { buffer in
            switch kind {
            case .user:
                var entry = passwd()
                var found: UnsafeMutablePointer<passwd>?
                let code = getpwnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
                return (code, found?.pointee.pw_uid)
            case .group:
                var entry = Glibc.group()
                var found: UnsafeMutablePointer<Glibc.group>?
                let code = getgrnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
                return (code, found?.pointee.gr_gid)
            }
        }
    }

    /// What is wrong with a name that the machine does not know, as the detail of an issue.
    static func problem(with name: String, _ kind: Kind) -> String {
        let (word, list) = kind == .user ? ("user", "passwd") : ("group", "group")
        return
            "\"\(kind.field)\" is \(Quoted(name)); this machine has no \(word) of that name (`getent \(list)` lists them); "
            + "write one that it has, or a number"
    }
}
