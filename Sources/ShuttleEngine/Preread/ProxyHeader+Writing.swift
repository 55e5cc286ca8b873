// Owns writing the header that the PROXY protocol puts before a connection's bytes.
// Leaves to others: when it is sent (Worker+ProxyHeader; shuttled/Health for checks).

/// Bytes that are put one after the other into memory that is large enough.
struct ByteOutput {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    mutating func append(_ byte: UInt8) {
        memory[count] = byte
        count += 1
    }

    mutating func append(_ text: StaticString) {
        for index in 0..<text.utf8CodeUnitCount { append(text.utf8Start[index]) }
    }

    mutating func append<Value: FixedWidthInteger>(bigEndian value: Value) {
        memory.storeBytes(of: value.bigEndian, toByteOffset: count, as: Value.self)
        count += MemoryLayout<Value>.size
    }
}

extension ProxyHeader {
    /// Of what `write` writes.
    static let writtenLengthMax = textLengthMax

    /// Writes the header for a connection, or a datagram, that comes from `addresses`, or that has none to tell of: v1
    /// UNKNOWN, v2 LOCAL. Returns its length.
    static func write(
        _ version: ProxyProtocolVersion, _ addresses: ConveyedAddresses?, isOfDatagram: Bool = false,
        to memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var output = ByteOutput(memory)
        switch version {
        case .v1: writeText(addresses, to: &output)
        case .v2: writeBinary(addresses, isOfDatagram, to: &output)
        }
        return output.count
    }

    private static func writeText(_ addresses: ConveyedAddresses?, to output: inout ByteOutput) {
        guard let addresses else { return output.append("PROXY UNKNOWN\r\n") }
        let (source, destination) = (addresses.source, addresses.destination)
        if let sourceHost = source.ipv4Host, let destinationHost = destination.ipv4Host {
            output.append("PROXY TCP4 ")
            AddressText.write(ipv4: sourceHost, to: &output)
            output.append(" ")
            AddressText.write(ipv4: destinationHost, to: &output)
        } else {
            output.append("PROXY TCP6 ")
            AddressText.write(ipv6: source.hostWords, to: &output)
            output.append(" ")
            AddressText.write(ipv6: destination.hostWords, to: &output)
        }
        output.append(" ")
        AddressText.write(decimal: UInt32(source.port), to: &output)
        output.append(" ")
        AddressText.write(decimal: UInt32(destination.port), to: &output)
        output.append("\r\n")
    }

    private static func writeBinary(
        _ addresses: ConveyedAddresses?, _ isOfDatagram: Bool, to output: inout ByteOutput
    ) {
        for index in 0..<signatureLength { output.append(signature(index)) }
        guard let addresses else {
            output.append(0x20 as UInt8)
            output.append(0 as UInt8)
            return output.append(bigEndian: 0 as UInt16)
        }
        let (source, destination) = (addresses.source, addresses.destination)
        output.append(0x21 as UInt8)
        if let sourceHost = source.ipv4Host, let destinationHost = destination.ipv4Host {
            output.append((isOfDatagram ? 0x12 : 0x11) as UInt8)
            output.append(bigEndian: 12 as UInt16)
            output.append(bigEndian: sourceHost)
            output.append(bigEndian: destinationHost)
        } else {
            output.append((isOfDatagram ? 0x22 : 0x21) as UInt8)
            output.append(bigEndian: 36 as UInt16)
            output.append(bigEndian: source.hostWords.high)
            output.append(bigEndian: source.hostWords.low)
            output.append(bigEndian: destination.hostWords.high)
            output.append(bigEndian: destination.hostWords.low)
        }
        output.append(bigEndian: source.port)
        output.append(bigEndian: destination.port)
    }
}

extension ProxyProtocolVersion {
    /// The header of a connection that this process makes for itself, such as a check.
    public var headerOfOwnConnections: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ProxyHeader.writtenLengthMax) { buffer, count in
            count = ProxyHeader.write(self, nil, to: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}
