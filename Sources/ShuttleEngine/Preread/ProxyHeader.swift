// Owns reading the header that the PROXY protocol puts before a connection's bytes, versions 1 and 2, told apart by their
// first byte. Pure: borrowed bytes in, a value out; no socket, no clock, no allocation.
// Leaves to others: writing headers (ProxyHeader+Writing), addresses as text (AddressText), where the bytes come from and
// what becomes of the connection (Worker+Preread).
//
// The format: haproxy, doc/proxy-protocol.txt, "The PROXY protocol, versions 1 & 2".

/// Both ends of a connection as a proxy before this one has seen them.
struct ConveyedAddresses: Equatable {
    var source: SocketAddress
    var destination: SocketAddress
}

enum ProxyHeader {
    enum Outcome: Equatable {
        /// What is there may be the beginning of a header.
        case incomplete
        /// No header begins like this.
        case malformed
        /// One that would be longer than allowed.
        case tooLong
        /// The first `length` bytes are the header. Without addresses (v1 UNKNOWN, v2 LOCAL, addresses that are no
        /// internet addresses) the connection's own ends hold.
        case complete(length: Int, ConveyedAddresses?)
    }

    /// Of v1, its CR LF included.
    static let textLengthMax = 107
    static let signatureLength = 12

    /// What version 2 begins with: CR LF CR LF NUL CR LF "QUIT" LF. No array, whose type would be looked up at run time.
    @inline(__always)
    static func signature(_ index: Int) -> UInt8 {
        index < 8
            ? UInt8(truncatingIfNeeded: 0x0D0A_0D0A_000D_0A51 as UInt64 >> UInt64(56 - 8 * index))
            : UInt8(truncatingIfNeeded: 0x5549_540A as UInt32 >> UInt32(24 - 8 * (index - 8)))
    }

    /// Of v2: signature, version and command, family and transport, length.
    static let binaryPrefixLength = 16

    /// Reads the header that `bytes` begins with; one of more than `limit` bytes is too long.
    static func read(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Outcome {
        guard let first = bytes.first else { return .incomplete }
        switch first {
        case UInt8(ascii: "P"): return readText(bytes, limit: min(limit, textLengthMax))
        case signature(0): return readBinary(bytes, limit: limit)
        default: return .malformed
        }
    }

    // MARK: Version 1

    private static func readText(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Outcome {
        var text = ByteCursor(bytes, end: min(bytes.count, limit))
        guard text.take("PROXY ") else { return text.isAtEnd ? .incomplete : .malformed }
        guard let end = text.lineEnd() else {
            return bytes.count >= limit ? .tooLong : .incomplete
        }
        let length = end + 2
        var fields = ByteCursor(bytes, from: text.position, end: end)
        if fields.take("TCP4 ") {
            guard let addresses = addressesIPv4(&fields) else { return .malformed }
            return .complete(length: length, addresses)
        }
        fields = ByteCursor(bytes, from: text.position, end: end)
        if fields.take("TCP6 ") {
            guard let addresses = addressesIPv6(&fields) else { return .malformed }
            return .complete(length: length, addresses)
        }
        fields = ByteCursor(bytes, from: text.position, end: end)
        // Whatever else stands in such a line is not looked at.
        guard fields.take("UNKNOWN"), fields.isAtEnd || fields.next == UInt8(ascii: " ") else { return .malformed }
        return .complete(length: length, nil)
    }

    /// `SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT`, and nothing after it.
    private static func addressesIPv4(_ fields: inout ByteCursor) -> ConveyedAddresses? {
        guard let source = AddressText.ipv4(&fields), fields.take(space),
            let destination = AddressText.ipv4(&fields), let (sourcePort, destinationPort) = ports(&fields)
        else { return nil }
        return ConveyedAddresses(
            source: .ipv4(source, port: sourcePort), destination: .ipv4(destination, port: destinationPort))
    }

    private static func addressesIPv6(_ fields: inout ByteCursor) -> ConveyedAddresses? {
        guard let source = AddressText.ipv6(&fields), fields.take(space),
            let destination = AddressText.ipv6(&fields), let (sourcePort, destinationPort) = ports(&fields)
        else { return nil }
        return ConveyedAddresses(
            source: .ipv6(high: source.high, low: source.low, port: sourcePort),
            destination: .ipv6(high: destination.high, low: destination.low, port: destinationPort)
        )
    }

    private static var space: UInt8 { UInt8(ascii: " ") }

    private static func ports(_ fields: inout ByteCursor) -> (source: UInt16, destination: UInt16)? {
        guard fields.take(space), let source = AddressText.port(&fields), fields.take(space),
            let destination = AddressText.port(&fields), fields.isAtEnd
        else { return nil }
        return (source, destination)
    }

    // MARK: Version 2

    /// Reads the header that a datagram begins with: version 2, and all of it. Nil for everything else, version 1 included,
    /// which knows no datagrams. As with `read` there may be no addresses.
    ///
    /// How the client speaks to whoever has sent the datagram does not matter: a proxy may pass on by datagram what has come to
    /// it as DNS over HTTPS, and says so.
    static func readDatagram(_ bytes: UnsafeRawBufferPointer) -> (length: Int, addresses: ConveyedAddresses?)? {
        let outcome = readBinary(bytes, limit: bytes.count, isDatagram: true)
        guard case .complete(let length, let addresses) = outcome else { return nil }
        return (length, addresses)
    }

    private static func readBinary(
        _ bytes: UnsafeRawBufferPointer, limit: Int, isDatagram: Bool = false
    ) -> Outcome {
        for index in 0..<min(bytes.count, signatureLength) where bytes[index] != signature(index) { return .malformed }
        guard bytes.count > 12 else { return .incomplete }
        let isLocal: Bool
        switch bytes[12] {
        case 0x20: isLocal = true
        case 0x21: isLocal = false
        default: return .malformed
        }
        guard bytes.count >= binaryPrefixLength else { return .incomplete }
        let length = binaryPrefixLength + Int(bytes.loadUnaligned(fromByteOffset: 14, as: UInt16.self).bigEndian)
        guard length <= limit else { return .tooLong }
        // Of a connection that a proxy made for itself the rest says nothing, whatever it is.
        if isLocal { return bytes.count < length ? .incomplete : .complete(length: length, nil) }
        let (family, transport) = (bytes[13] >> 4, bytes[13] & 0x0F)
        guard transport <= 2, let addressLength = addressLength(family: family),
            length >= binaryPrefixLength + addressLength
        else { return .malformed }
        guard bytes.count >= length else { return .incomplete }
        // Addresses of unix sockets are not those of a client here, nor those of datagrams that of a connection's.
        guard transport == 1 || isDatagram && transport == 2 else { return .complete(length: length, nil) }
        switch family {
        case 1: return .complete(length: length, addressesIPv4(bytes))
        case 2: return .complete(length: length, addressesIPv6(bytes))
        default: return .complete(length: length, nil)
        }
    }

    /// Nil for families that nobody has assigned.
    private static func addressLength(family: UInt8) -> Int? {
        switch family {
        case 0: 0
        case 1: 12
        case 2: 36
        // Unix sockets.
        case 3: 216
        default: nil
        }
    }

    private static func addressesIPv4(_ bytes: UnsafeRawBufferPointer) -> ConveyedAddresses {
        func host(_ offset: Int) -> UInt32 {
            UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        return ConveyedAddresses(
            source: .ipv4(host(16), port: port(bytes, 24)),
            destination: .ipv4(host(20), port: port(bytes, 26))
        )
    }

    private static func addressesIPv6(_ bytes: UnsafeRawBufferPointer) -> ConveyedAddresses {
        func half(_ offset: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        return ConveyedAddresses(
            source: .ipv6(high: half(16), low: half(24), port: port(bytes, 48)),
            destination: .ipv6(high: half(32), low: half(40), port: port(bytes, 50))
        )
    }

    private static func port(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt16 {
        UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
}
