// Owns printing JSON: members in the order they are written, two spaces of indentation, correct escapes.
// Leaves to others: what is printed (ConfigurationEncoder, statistics, problem details).

/// Prints one JSON value, pretty, into bytes.
///
/// Values are written in the order they are to appear:
///
///     var writer = JSONWriter()
///     writer.object { writer in
///         writer.member("name", "web")
///         writer.list("backends") { writer in
///             writer.object { … }
///         }
///     }
///     let body = writer.finish(trailingNewline: true)
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    /// One entry for each list or object that is open: whether nothing has been written into it yet.
    private var isEmptyByDepth: [Bool] = []
    /// A name has been written, its value comes next on the same line.
    private var isAfterName = false
    /// Without line breaks and indentation.
    private let isOnOneLine: Bool

    /// `capacity` is the expected length, where it is known.
    init(capacity: Int = 0, isOnOneLine: Bool = false) {
        self.isOnOneLine = isOnOneLine
        bytes.reserveCapacity(capacity)
    }

    /// The printed value. A trailing newline is for files and terminals.
    consuming func finish(trailingNewline: Bool) -> [UInt8] {
        assert(isEmptyByDepth.isEmpty && !isAfterName, "a list or object is still open")
        var result = bytes
        if trailingNewline {
            result.append(UInt8(ascii: "\n"))
        }
        return result
    }

    // MARK: Values

    mutating func value(_ string: String) {
        startValue()
        append(quoted: string)
    }

    mutating func value(_ integer: some FixedWidthInteger) {
        startValue()
        bytes.append(contentsOf: String(integer).utf8)
    }

    /// A number of thousandths as a decimal fraction: `0.125`.
    mutating func value(thousandths: Int) {
        startValue()
        let fraction = String(thousandths % 1000)
        let zeros = String(repeating: "0", count: 3 - fraction.utf8.count)
        bytes.append(contentsOf: "\(thousandths / 1000).\(zeros)\(fraction)".utf8)
    }

    mutating func value(_ bool: Bool) {
        startValue()
        bytes.append(contentsOf: (bool ? "true" : "false").utf8)
    }

    mutating func null() {
        startValue()
        bytes.append(contentsOf: "null".utf8)
    }

    /// An object; `body` writes its members.
    mutating func object<Failure: Error>(_ body: (inout JSONWriter) throws(Failure) -> Void) throws(Failure) {
        open(UInt8(ascii: "{"))
        try body(&self)
        close(UInt8(ascii: "}"))
    }

    /// A list; `body` writes its elements.
    mutating func list<Failure: Error>(_ body: (inout JSONWriter) throws(Failure) -> Void) throws(Failure) {
        open(UInt8(ascii: "["))
        try body(&self)
        close(UInt8(ascii: "]"))
    }

    // MARK: Members

    /// The name of the member whose value is written next.
    mutating func name(_ name: String) {
        assert(!isAfterName, "a name follows a name")
        startEntry()
        append(quoted: name)
        bytes.append(UInt8(ascii: ":"))
        bytes.append(UInt8(ascii: " "))
        isAfterName = true
    }

    mutating func member(_ name: String, _ string: String) {
        self.name(name)
        value(string)
    }

    mutating func member(_ name: String, _ integer: some FixedWidthInteger) {
        self.name(name)
        value(integer)
    }

    mutating func member(_ name: String, _ bool: Bool) {
        self.name(name)
        value(bool)
    }

    /// A member whose value is an object.
    mutating func object<Failure: Error>(
        _ name: String, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.name(name)
        try object(body)
    }

    /// A member whose value is a list.
    mutating func list<Failure: Error>(
        _ name: String, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.name(name)
        try list(body)
    }

    /// A member whose value is a list of strings.
    mutating func member(_ name: String, _ strings: some Sequence<String>) {
        list(name) { writer in
            for string in strings {
                writer.value(string)
            }
        }
    }

    // MARK: Layout

    private mutating func open(_ bracket: UInt8) {
        startValue()
        bytes.append(bracket)
        isEmptyByDepth.append(true)
    }

    private mutating func close(_ bracket: UInt8) {
        assert(!isAfterName, "a name has no value")
        // What is empty closes on the same line.
        if isEmptyByDepth.removeLast() == false {
            startLine()
        }
        bytes.append(bracket)
    }

    private mutating func startValue() {
        if isAfterName {
            isAfterName = false
        } else {
            startEntry()
        }
    }

    /// The comma and the line of a list's element or an object's member.
    private mutating func startEntry() {
        guard let isEmpty = isEmptyByDepth.last else {
            assert(bytes.isEmpty, "a document is one value")
            return
        }
        if !isEmpty {
            bytes.append(UInt8(ascii: ","))
        }
        isEmptyByDepth[isEmptyByDepth.count - 1] = false
        startLine()
    }

    private mutating func startLine() {
        if isOnOneLine {
            // After a comma; brackets stand close.
            if bytes.last == UInt8(ascii: ",") {
                bytes.append(UInt8(ascii: " "))
            }
            return
        }
        bytes.append(UInt8(ascii: "\n"))
        for _ in isEmptyByDepth {
            bytes.append(UInt8(ascii: " "))
            bytes.append(UInt8(ascii: " "))
        }
    }

    // MARK: Strings

    private mutating func append(quoted string: String) {
        bytes.append(UInt8(ascii: "\""))
        // Nearly all strings can be copied whole.
        let isPlain = string.utf8.withContiguousStorageIfAvailable { utf8 in
            utf8.allSatisfy { !JSONWriter.needsEscape($0) }
        }
        if isPlain == true {
            bytes.append(contentsOf: string.utf8)
        } else {
            for byte in string.utf8 {
                if JSONWriter.needsEscape(byte) {
                    appendEscape(of: byte)
                } else {
                    bytes.append(byte)
                }
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private mutating func appendEscape(of byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x00..<0x20:
            bytes.append(contentsOf: "u00".utf8)
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 0xF)])
        default: bytes.append(byte)
        }
    }
}
