// Owns reading where a client wants to go from the first message of its TLS handshake: the name (SNI) and the protocols
// (ALPN). Pure: borrowed bytes in, a value out; nothing of TLS is ended or changed here.
// Leaves to others: records (RecordCursor), what name leads where (RouteTable), the bytes (Worker+Preread).
//
// RFC 8446, 4.1.2; RFC 6066, 3 (server_name); RFC 7301, 3.1 (ALPN). With Encrypted Client Hello it is the outer name.

/// What a ClientHello says. Valid as long as the bytes that it was read from.
struct ClientHello {
    enum Outcome {
        case incomplete
        /// No handshake of TLS begins like this.
        case notTLS
        case malformed
        case tooLong
        case complete(ClientHello)
    }

    /// Of a host name in DNS.
    static let nameLengthMax = 253

    /// Where the name begins, with its length: what `withName` gives.
    private var name: (cursor: RecordCursor, length: Int)?
    /// Where the list of protocols begins, with their length together.
    private var protocols: (cursor: RecordCursor, length: Int)?

    private static let handshakeType: UInt8 = 1
    /// Type and length of a handshake message.
    private static let headerLength = 4
    private static let serverNameExtension = 0
    private static let protocolsExtension = 16
    private static let hostNameType = 0

    /// Reads the ClientHello that `bytes` begin with; one that is not complete within `limit` bytes is too long.
    static func read(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Outcome {
        guard RecordCursor.couldBegin(bytes) else { return .notTLS }
        let held = UnsafeRawBufferPointer(rebasing: bytes.prefix(limit))
        var cursor = RecordCursor(held)
        func outcome(of cursor: RecordCursor) -> Outcome {
            switch cursor.problem {
            case .malformed: .malformed
            case .incomplete: bytes.count >= limit ? .tooLong : .incomplete
            }
        }
        guard let type = cursor.byte() else { return outcome(of: cursor) }
        guard type == handshakeType else { return .notTLS }
        guard let length = cursor.number(bytes: 3) else { return outcome(of: cursor) }
        if length + headerLength + RecordCursor.headerLength > limit { return .tooLong }
        // The whole of it has to be there before any of it is believed.
        var end = cursor
        guard end.skip(length) else { return outcome(of: end) }
        var hello = ClientHello()
        return hello.readBody(Vector(cursor, length: length)) ? .complete(hello) : .malformed
    }

    /// False where the message is not what it must be. All of its bytes are there.
    private mutating func readBody(_ body: Vector) -> Bool {
        var body = body
        // Version and random.
        guard body.skip(2 + 32), let session = body.vector(lengthBytes: 1), session.left <= 32,
            let ciphers = body.vector(lengthBytes: 2), ciphers.left >= 2, ciphers.left % 2 == 0,
            let compressions = body.vector(lengthBytes: 1), compressions.left >= 1
        else { return false }
        // A client of TLS 1.2 may have none.
        guard body.left > 0 else { return true }
        guard var extensions = body.vector(lengthBytes: 2), body.left == 0 else { return false }
        var hasName = false
        while extensions.left > 0 {
            guard let type = extensions.number(bytes: 2), var content = extensions.vector(lengthBytes: 2) else {
                return false
            }
            switch type {
            case ClientHello.serverNameExtension:
                guard !hasName, readName(&content) else { return false }
                hasName = true
            case ClientHello.protocolsExtension:
                guard protocols == nil, readProtocols(&content) else { return false }
            default: break
            }
        }
        return true
    }

    private mutating func readName(_ content: inout Vector) -> Bool {
        guard var list = content.vector(lengthBytes: 2), content.left == 0, list.left > 0 else { return false }
        while list.left > 0 {
            guard let type = list.number(bytes: 1), var value = list.vector(lengthBytes: 2), value.left > 0 else {
                return false
            }
            guard type == ClientHello.hostNameType else { continue }
            guard name == nil, value.left <= ClientHello.nameLengthMax + 1 else { return false }
            let start = value.cursor
            var (length, last) = (value.left, 0)
            while value.left > 0 {
                // Letters of other scripts are sent as ASCII (RFC 6066).
                guard let byte = value.number(bytes: 1), byte > 0x20, byte < 0x7F else { return false }
                last = byte
            }
            if last == UInt8(ascii: "."), length > 1 { length -= 1 }
            guard length <= ClientHello.nameLengthMax else { return false }
            name = (start, length)
        }
        return true
    }

    /// Calls `body` with the name in lower case, without a dot at its end; with nothing where none was sent.
    func withName<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: ClientHello.nameLengthMax, alignment: 1) { memory in
            var length = 0
            if var (cursor, left) = name {
                while left > 0, let byte = cursor.byte() {
                    let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
                    memory[length] = isUpper ? byte | 0x20 : byte
                    length += 1
                    left -= 1
                }
            }
            return body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<length]))
        }
    }

    private mutating func readProtocols(_ content: inout Vector) -> Bool {
        guard let list = content.vector(lengthBytes: 2), content.left == 0, list.left > 0 else { return false }
        protocols = (list.cursor, list.left)
        var each = list
        while each.left > 0 {
            guard let one = each.vector(lengthBytes: 1), one.left > 0 else { return false }
        }
        return true
    }

    /// Whether the client offers `wanted`, which may be any bytes.
    func offers(_ wanted: UnsafeRawBufferPointer) -> Bool {
        guard let protocols else { return false }
        var list = Vector(protocols.cursor, length: protocols.length)
        while list.left > 0, var offered = list.vector(lengthBytes: 1) {
            guard offered.left == wanted.count else { continue }
            var isSame = true
            for byte in wanted where offered.number(bytes: 1) != Int(byte) { isSame = false }
            if isSame { return true }
        }
        return false
    }
}

/// A part of a message whose length was stated: nothing is read past it.
private struct Vector {
    private(set) var cursor: RecordCursor
    private(set) var left: Int

    init(_ cursor: RecordCursor, length: Int) {
        self.cursor = cursor
        left = length
    }

    mutating func number(bytes count: Int) -> Int? {
        spend(count) ? cursor.number(bytes: count) : nil
    }

    mutating func skip(_ count: Int) -> Bool {
        spend(count) && cursor.skip(count)
    }

    /// The vector that begins here with a length of so many bytes; this one goes on behind it.
    mutating func vector(lengthBytes: Int) -> Vector? {
        guard let length = number(bytes: lengthBytes) else { return nil }
        let inner = Vector(cursor, length: length)
        return skip(length) ? inner : nil
    }

    private mutating func spend(_ count: Int) -> Bool {
        guard count <= left else { return false }
        left -= count
        return true
    }
}
