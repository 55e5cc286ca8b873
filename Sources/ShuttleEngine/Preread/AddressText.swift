// Owns numeric addresses and ports as text, read from and written to raw bytes: what inet_pton(3) takes, without a call
// and without a string. Leaves to others: what users write (Configuration/AddressLiteral).

enum AddressText {
    // MARK: Reading

    /// `192.0.2.1`: four numbers without leading zeros.
    static func ipv4(_ text: inout ByteCursor) -> UInt32? {
        var host: UInt32 = 0
        for place in 0..<4 {
            if place > 0, !text.take(UInt8(ascii: ".")) { return nil }
            guard let number = decimal(&text, max: 255) else { return nil }
            host = host << 8 | number
        }
        return host
    }

    /// `2001:db8::1`, also with an IPv4 address at its end.
    static func ipv6(_ text: inout ByteCursor) -> (high: UInt64, low: UInt64)? {
        var groups = Groups()
        /// How many stand before the `::`.
        var gapAt: Int?
        if text.next == UInt8(ascii: ":") {
            guard text.take("::") else { return nil }
            gapAt = 0
        }
        while groups.count < 8, let byte = text.next, digit(byte) != nil {
            let start = text
            guard let group = hexadecimal(&text) else { return nil }
            if text.next == UInt8(ascii: ".") {
                text = start
                guard groups.count <= 6, let ipv4 = ipv4(&text) else { return nil }
                groups.append(UInt16(truncatingIfNeeded: ipv4 >> 16))
                groups.append(UInt16(truncatingIfNeeded: ipv4))
                break
            }
            groups.append(group)
            guard text.next == UInt8(ascii: ":") else { break }
            if groups.count == 8 { return nil }
            text.skip()
            if text.next == UInt8(ascii: ":") {
                guard gapAt == nil else { return nil }
                text.skip()
                gapAt = groups.count
            } else if text.next.flatMap(digit) == nil {
                return nil
            }
        }
        guard let gapAt else { return groups.count == 8 ? groups.words(gapAt: 8) : nil }
        return groups.count < 8 ? groups.words(gapAt: gapAt) : nil
    }

    /// 0 to 65535 without leading zeros.
    static func port(_ text: inout ByteCursor) -> UInt16? {
        decimal(&text, max: 65535).map { UInt16($0) }
    }

    private struct Groups {
        private var bits: UInt128 = 0
        private(set) var count = 0

        mutating func append(_ value: UInt16) {
            bits = bits << 16 | UInt128(value)
            count += 1
        }

        /// As an address in which those from `gapAt` on stand at the end.
        func words(gapAt: Int) -> (high: UInt64, low: UInt64) {
            let tailBits = 16 * (count - gapAt)
            let tail = bits & ~(UInt128.max << tailBits)
            let head = (bits >> tailBits) << (128 - 16 * gapAt)
            return (UInt64(truncatingIfNeeded: (head | tail) >> 64), UInt64(truncatingIfNeeded: head | tail))
        }
    }

    private static func decimal(_ text: inout ByteCursor, max: UInt32) -> UInt32? {
        guard let first = text.next, isDecimal(first) else { return nil }
        text.skip()
        var number = UInt32(first - UInt8(ascii: "0"))
        while let byte = text.next, isDecimal(byte) {
            // Also where only zeros follow.
            guard number > 0 else { return nil }
            number = number * 10 + UInt32(byte - UInt8(ascii: "0"))
            guard number <= max else { return nil }
            text.skip()
        }
        return number
    }

    /// One to four digits.
    private static func hexadecimal(_ text: inout ByteCursor) -> UInt16? {
        var (group, count) = (UInt16(0), 0)
        while let byte = text.next, let digit = digit(byte) {
            guard count < 4 else { return nil }
            group = group << 4 | digit
            count += 1
            text.skip()
        }
        return count > 0 ? group : nil
    }

    private static func isDecimal(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func digit(_ byte: UInt8) -> UInt16? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    // MARK: Writing

    static func write(ipv4 host: UInt32, to output: inout ByteOutput) {
        for place in 0..<4 {
            if place > 0 { output.append(".") }
            write(decimal: UInt32(UInt8(truncatingIfNeeded: host >> UInt32(24 - 8 * place))), to: &output)
        }
    }

    /// All eight groups: shorter forms mean the same to whoever reads them.
    static func write(ipv6 host: (high: UInt64, low: UInt64), to output: inout ByteOutput) {
        for place in 0..<8 {
            if place > 0 { output.append(":") }
            let half = place < 4 ? host.high : host.low
            write(hexadecimal: UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (place % 4))), to: &output)
        }
    }

    static func write(decimal number: UInt32, to output: inout ByteOutput) {
        var divisor: UInt32 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            output.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }

    private static func write(hexadecimal group: UInt16, to output: inout ByteOutput) {
        var shift: UInt16 = 12
        while shift > 0, group >> shift == 0 { shift -= 4 }
        while true {
            let digit = UInt8(truncatingIfNeeded: group >> shift & 0xF)
            output.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            if shift == 0 { return }
            shift -= 4
        }
    }
}
