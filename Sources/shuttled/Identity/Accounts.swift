// Owns asking this machine for its users and groups by name or number (getpwnam_r(3), getgrnam_r(3)).
// Leaves to others: what becomes of them (Identity, Control/SocketOwners).

import Glibc

enum Accounts {
    struct User: Equatable, Sendable {
        var name: String
        var number: UInt32
        /// Its primary group.
        var group: UInt32
    }

    struct Group: Equatable, Sendable {
        var name: String
        var number: UInt32
    }

    /// Entries of directory services may be long, those of groups have all members in them.
    private static let bytesMax = 1 << 20

    static func user(named name: String) -> User? {
        entry { buffer in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let code = getpwnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
            return (code, found.map { User($0.pointee) })
        }
    }

    static func user(numbered number: UInt32) -> User? {
        entry { buffer in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let code = getpwuid_r(number, &entry, buffer.baseAddress!, buffer.count, &found)
            return (code, found.map { User($0.pointee) })
        }
    }

    static func group(named name: String) -> Group? {
        entry { buffer in
            var entry = Glibc.group()
            var found: UnsafeMutablePointer<Glibc.group>?
            let code = getgrnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
            return (code, found.map { Group($0.pointee) })
        }
    }

    static func group(numbered number: UInt32) -> Group? {
        entry { buffer in
            var entry = Glibc.group()
            var found: UnsafeMutablePointer<Glibc.group>?
            let code = getgrgid_r(number, &entry, buffer.baseAddress!, buffer.count, &found)
            return (code, found.map { Group($0.pointee) })
        }
    }

    /// Asks again with more room for as long as there was too little.
    private static func entry<Entry>(
        _ look: (UnsafeMutableBufferPointer<CChar>) -> (code: Int32, entry: Entry?)
    ) -> Entry? {
        var size = 1024
        while size <= bytesMax {
            let (code, entry) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: size, look)
            guard code == ERANGE else {
                return entry
            }
            size *= 4
        }
        return nil
    }
}

extension Accounts.User {
    fileprivate init(_ entry: passwd) {
        self.init(name: String(cString: entry.pw_name), number: entry.pw_uid, group: entry.pw_gid)
    }
}

extension Accounts.Group {
    fileprivate init(_ entry: Glibc.group) {
        self.init(name: String(cString: entry.gr_name), number: entry.gr_gid)
    }
}
