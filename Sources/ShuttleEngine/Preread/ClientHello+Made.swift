// Owns making the first message of a TLS handshake that says where a client wants to go, and nothing else that matters:
// what routes are asked with on behalf of a client that is not there.
// Leaves to others: reading it (ClientHello), which checks it as it does any other.

extension ClientHello {
    /// A message with this name and these protocols, each of which may be missing. RFC 8446, 4.1.2.
    static func made(name: String?, protocols: [String]) -> [UInt8] {
        var extensions: [UInt8] = []
        if let name {
            extensions += vector([0, 0], sized([0] + sized(Array(name.utf8), 2), 2))
        }
        if !protocols.isEmpty {
            extensions += vector([0, 16], sized(protocols.flatMap { sized(Array($0.utf8), 1) }, 2))
        }
        let random = [UInt8](repeating: 0, count: 32)
        var body: [UInt8] = [3, 3] + random
        // No session, one cipher suite, no compression.
        body += [0] + sized([0x13, 0x01], 2) + sized([0], 1)
        body += sized(extensions, 2)
        let message = [1] + sized(body, 3)
        return [0x16, 3, 1] + sized(message, 2)
    }

    private static func vector(_ type: [UInt8], _ content: [UInt8]) -> [UInt8] { type + sized(content, 2) }

    /// Behind its length.
    private static func sized(_ bytes: [UInt8], _ lengthBytes: Int) -> [UInt8] {
        (0..<lengthBytes).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
    }
}
