// Owns how a fault in JSON text is reported, and how byte offsets become lines and columns.
// Leaves to others: finding faults (JSONParser), and faults of meaning (ConfigurationDecodingError).

import ShuttleEngine

/// A place in a text as people count: both from 1, columns in characters.
struct JSONPosition: Equatable, Sendable, CustomStringConvertible {
    var line: Int
    var column: Int

    var description: String {
        "line \(line), column \(column)"
    }

    /// The position of one byte offset.
    init(of offset: Int, in bytes: [UInt8]) {
        self = JSONPosition.positions(of: [offset], in: bytes)[0]
    }

    private init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// The positions of many byte offsets, in their order, with one pass over the text.
    static func positions(of offsets: [Int], in bytes: [UInt8]) -> [JSONPosition] {
        var result = Array(repeating: JSONPosition(line: 1, column: 1), count: offsets.count)
        var position = JSONPosition(line: 1, column: 1)
        var scanned = 0
        for index in offsets.indices.sorted(by: { offsets[$0] < offsets[$1] }) {
            let offset = min(offsets[index], bytes.count)
            while scanned < offset {
                let byte = bytes[scanned]
                if byte == UInt8(ascii: "\n") {
                    position.line += 1
                    position.column = 1
                } else if byte & 0xC0 != 0x80 {
                    // Continuation bytes belong to the character that has been counted.
                    position.column += 1
                }
                scanned += 1
            }
            result[index] = position
        }
        return result
    }
}

/// Why a text is not JSON, and where.
struct JSONSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Byte offset of the fault.
    var offset: Int
    var position: JSONPosition
    /// What is wrong and what to do about it.
    var reason: String
    /// JSON pointer of the innermost value around the fault, where the fault is inside one.
    var pointer: String?

    var description: String {
        guard let pointer, !pointer.isEmpty else {
            return "\(position): \(reason)"
        }
        return "\(position), at \(Quoted(pointer)): \(reason)"
    }
}
