// Owns ClientHellos that are made by hand, right ones and wrong ones.

/// RFC 8446, 4.1.2.
struct ClientHelloBuilder {
    var name: String?
    var protocols: [String]?
    /// Bytes of a key share, 0 for none.
    var keyShare = 0
    var extraExtension: (type: Int, content: [UInt8])?
    var hasExtensions = true
    /// By how much the stated length of the extensions is wrong.
    var extensionsLengthError = 0

    init(name: String? = nil, protocols: [String]? = nil) {
        self.name = name
        self.protocols = protocols
    }

    private static func sized(_ bytes: [UInt8], by lengthBytes: Int, length: Int? = nil) -> [UInt8] {
        (0..<lengthBytes).reversed().map { UInt8((length ?? bytes.count) >> (8 * $0) & 0xFF) } + bytes
    }

    private static func number(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }

    private var extensions: [UInt8] {
        var all: [(type: Int, content: [UInt8])] = [(0x0A0A, []), (43, [2, 3, 4])]
        if keyShare > 0 {
            let share = Self.number(0x11EC) + Self.sized((0..<keyShare).map { UInt8($0 & 0xFF) }, by: 2)
            all.append((51, Self.sized(share, by: 2)))
        }
        if let name {
            all.append((0, Self.sized([0] + Self.sized(Array(name.utf8), by: 2), by: 2)))
        }
        if let protocols {
            all.append((16, Self.sized(protocols.flatMap { Self.sized(Array($0.utf8), by: 1) }, by: 2)))
        }
        if let extraExtension { all.append(extraExtension) }
        return all.flatMap { Self.number($0.type) + Self.sized($0.content, by: 2) }
    }

    /// The handshake message.
    var message: [UInt8] {
        let body: [UInt8] =
            [3, 3] + Array(repeating: 7, count: 32) + Self.sized(Array(repeating: 9, count: 32), by: 1)
            + Self.sized([0x13, 1, 0x13, 2], by: 2) + Self.sized([0], by: 1)
        guard hasExtensions else { return [1] + Self.sized(body, by: 3) }
        let length = extensions.count + extensionsLengthError
        return [1] + Self.sized(body + Self.sized(extensions, by: 2, length: length), by: 3)
    }

    var bytes: [UInt8] { Self.records(of: message, lengths: [16_384]) }

    /// Cut into records of these lengths, the last one over and over.
    static func records(of message: [UInt8], lengths: [Int]) -> [UInt8] {
        var (bytes, rest, lengths): ([UInt8], ArraySlice<UInt8>, ArraySlice<Int>) = ([], message[...], lengths[...])
        while !rest.isEmpty {
            let piece = rest.prefix(lengths.first!)
            if lengths.count > 1 { lengths = lengths.dropFirst() }
            bytes += [0x16, 3, bytes.isEmpty ? 1 : 3] + number(piece.count) + piece
            rest = rest.dropFirst(piece.count)
        }
        return bytes
    }
}
