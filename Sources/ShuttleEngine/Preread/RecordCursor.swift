// Owns reading the bytes of a handshake message that lies in one or several records of TLS (RFC 8446, 5.1): the records'
// headers are stepped over. Pure, without a copy.

/// A place within the handshake bytes of records that begin at the start of borrowed bytes. Valid as long as they are; a
/// copy reads on from the same place.
struct RecordCursor {
    /// Why there is nothing to be read here. No error that is thrown: its type would be looked up at run time.
    enum Problem {
        /// More bytes may come.
        case incomplete
        case malformed
    }

    /// Type, version, length.
    static let headerLength = 5
    private static let handshakeType: UInt8 = 22
    private static let versionMajor: UInt8 = 3
    /// Of what a record holds; none may hold more, and of a handshake none may hold nothing.
    private static let lengths = 1...16384

    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    /// Bytes of the present record from `position` on.
    private var remaining = 0
    /// Of the read that returned nothing.
    private(set) var problem = Problem.incomplete

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Whether the bytes, as far as they go, could begin a record of a handshake.
    static func couldBegin(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if bytes.count > 0, bytes[0] != handshakeType { return false }
        if bytes.count > 1, bytes[1] != versionMajor { return false }
        if bytes.count > 4 {
            return lengths.contains(Int(bytes[3]) << 8 | Int(bytes[4]))
        }
        return bytes.count < 4 || bytes[3] <= lengths.upperBound >> 8
    }

    mutating func byte() -> UInt8? {
        guard remaining > 0 || beginRecord(), position < bytes.count else { return nil }
        defer {
            position &+= 1
            remaining &-= 1
        }
        return bytes[position]
    }

    mutating func number(bytes count: Int) -> Int? {
        var number = 0
        for _ in 0..<count {
            guard let byte = byte() else { return nil }
            number = number << 8 | Int(byte)
        }
        return number
    }

    /// False where there are not so many.
    mutating func skip(_ count: Int) -> Bool {
        var left = count
        while left > 0 {
            guard remaining > 0 || beginRecord() else { return false }
            let step = min(left, remaining, bytes.count - position)
            guard step > 0 else { return false }
            position &+= step
            remaining &-= step
            left &-= step
        }
        return true
    }

    private mutating func beginRecord() -> Bool {
        let header = UnsafeRawBufferPointer(rebasing: bytes[position...])
        guard RecordCursor.couldBegin(header) else {
            problem = .malformed
            return false
        }
        guard header.count >= RecordCursor.headerLength else { return false }
        position &+= RecordCursor.headerLength
        remaining = Int(header[3]) << 8 | Int(header[4])
        return true
    }
}
