// Owns what a configuration may say of the file of a service's unix socket: its mode, its owner and its group, as text.
// Leaves to others: who a name is (shuttled/Control), the file (Ring/UnixSocketFile).

/// Rules of the fields `socket_mode`, `socket_owner` and `socket_group`.
public enum SocketPermissions {
    static let modeRule = TextRule(
        "the permissions of the socket file as three octal digits, such as \"0660\" or \"666\""
    ) {
        mode(of: $0) != nil
    }

    /// Empty stands for the one that shuttled runs as.
    static let identityRule = TextRule("a name or a number of this machine, such as \"www-data\" or \"33\", or \"\"") {
        text in
        // Names of directory services may have @ or a backslash; what no name has is the separator of /etc/passwd, and
        // what would be a path or a list.
        text.isEmpty || isNumber(text) && number(of: text) != nil
            || !isNumber(text) && text.utf8.count <= 256 && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
                && !text.utf8.contains(where: { ":/,".utf8.contains($0) }) && text.utf8.first != UInt8(ascii: "-")
    }

    /// The permission bits that a text stands for: three octal digits, with or without a zero before them.
    public static func mode(of text: String) -> UInt32? {
        let digits = text.utf8
        let octal = UInt8(ascii: "0")...UInt8(ascii: "7")
        guard digits.count == 3 || digits.count == 4 && digits.first == UInt8(ascii: "0"),
            digits.allSatisfy(octal.contains)
        else {
            return nil
        }
        return digits.reduce(0) { $0 << 3 | UInt32($1 - UInt8(ascii: "0")) }
    }

    /// The user or group that a text gives by its number; nil for a name. The largest number means none, chown(2).
    public static func number(of text: String) -> UInt32? {
        guard isNumber(text), let number = UInt32(text), number < .max else { return nil }
        return number
    }

    private static func isNumber(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
