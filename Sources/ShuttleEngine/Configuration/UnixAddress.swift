// Owns the form of a unix socket's address in text: the path of a file, or a name without one. Parsed strictly, printed in
// canonical form.
// Leaves to others: host and port (Endpoint), where such an address may stand (ListenAddress, BackendAddress), files
// (Ring/UnixSocketFile).

/// The address of a unix socket, unix(7).
public struct UnixAddress: Sendable {
    /// The absolute path of a file, without empty parts and `.`; or the name in the kernel's abstract namespace,
    /// without the zero byte that it begins with.
    public let name: String
    public let isAbstract: Bool

    /// Bytes of a name at most: `sockaddr_un` has 108, of which a path ends with a zero and a name begins with one.
    public static let lengthMax = 107

    private static let prefix = "unix:"

    /// Whether a text is meant as such an address, well formed or not.
    static func isMeant(by text: String) -> Bool {
        text.utf8.first == UInt8(ascii: "/") || text.utf8.starts(with: prefix.utf8)
    }

    /// Reads `/path`, `unix:/path` or `unix:@name`.
    public init(parsing text: String) throws(EndpointError) {
        let hasPrefix = text.utf8.starts(with: UnixAddress.prefix.utf8)
        let rest = Substring(text.utf8.dropFirst(hasPrefix ? UnixAddress.prefix.utf8.count : 0))
        if rest.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            throw .unix(text, .controlCharacter)
        }
        if hasPrefix, rest.utf8.first == UInt8(ascii: "@") {
            name = String(Substring(rest.utf8.dropFirst()))
            isAbstract = true
        } else {
            name = try UnixAddress.canonicalPath(rest, in: text)
            isAbstract = false
        }
        if name.isEmpty {
            throw .unix(text, .empty)
        }
        if name.utf8.count > UnixAddress.lengthMax {
            throw .unix(text, .length(name.utf8.count))
        }
    }

    /// The same file without empty parts and `.`. What `..` leads to depends on the links before it, so that two paths could
    /// not be compared.
    private static func canonicalPath(_ path: Substring, in text: String) throws(EndpointError) -> String {
        if path.isEmpty {
            throw .unix(text, .empty)
        }
        let slash = UInt8(ascii: "/")
        guard path.utf8.first == slash else {
            throw .unix(text, .relative)
        }
        let parts = path.utf8.split(separator: slash).map { Substring($0) }
        guard path.utf8.last != slash, let last = parts.last, last != "." else {
            throw .unix(text, .folder)
        }
        guard !parts.contains("..") else {
            throw .unix(text, .parent)
        }
        return parts.filter { $0 != "." }.map { "/\($0)" }.joined()
    }
}

/// By bytes, as the kernel compares them: strings that look alike may be different files.
extension UnixAddress: Hashable {
    public static func == (left: UnixAddress, right: UnixAddress) -> Bool {
        left.isAbstract == right.isAbstract && left.name.utf8.elementsEqual(right.name.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(isAbstract)
        for byte in name.utf8 { hasher.combine(byte) }
    }
}

extension UnixAddress: CustomStringConvertible {
    /// Canonical form: what `init(parsing:)` reads back as an equal value.
    public var description: String { UnixAddress.prefix + (isAbstract ? "@" : "") + name }
}

/// What can be wrong with a text that is meant as the address of a unix socket.
public enum UnixAddressFault: Equatable, Sendable {
    /// Nothing comes after `unix:` or `unix:@`.
    case empty
    /// The path does not start with `/`.
    case relative
    /// The path ends like that of a folder.
    case folder
    /// The path goes up, by `..`.
    case parent
    case controlCharacter
    /// So many bytes are too many.
    case length(Int)

    /// What is wrong and what to write instead, as the end of a sentence.
    var explanation: String {
        let example = "such as \"unix:/run/app.sock\""
        switch self {
        case .empty:
            return "it names no socket; write a path, \(example), or a name without a file, such as \"unix:@app\""
        case .relative:
            return
                "the path of a unix socket must start with /, \(example); a name without a file is written with @, such "
                + "as \"unix:@app\""
        case .folder:
            return "it is the path of a folder; name the socket file in it, \(example)"
        case .parent:
            return "its path goes up by \"..\"; write the path that it leads to"
        case .controlCharacter:
            return "it contains a control character; remove it"
        case .length(let count):
            return
                "it has \(count) bytes, and the kernel takes \(UnixAddress.lengthMax) at most for a unix socket; choose a "
                + "shorter one"
        }
    }
}
