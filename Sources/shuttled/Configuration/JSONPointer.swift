// Owns RFC 6901 pointers: writing them, and finding what they point at.
// Leaves to others: deciding which value an issue is about (ConfigurationDecoder, ConfigurationValidator).

enum JSONPointer {
    /// A name as one segment of a pointer.
    static func escape(_ name: String) -> String {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
            return name
        }
        var result = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "~": result += "~0"
            case "/": result += "~1"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The names and positions that a pointer consists of, or nil when it is not a pointer.
    static func segments(of pointer: String) -> [String]? {
        if pointer.isEmpty {
            return []
        }
        guard pointer.utf8.first == UInt8(ascii: "/") else {
            return nil
        }
        var result: [String] = []
        // As bytes: a combining mark at the start of a name would make one character of itself and the slash.
        for part in pointer.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let segment = unescape(Substring(part)) else {
                return nil
            }
            result.append(segment)
        }
        return result
    }

    private static func unescape(_ part: Substring) -> String? {
        var result = ""
        var scalars = part.unicodeScalars.makeIterator()
        while let scalar = scalars.next() {
            guard scalar == "~" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            switch scalars.next() {
            case "0": result += "~"
            case "1": result += "/"
            default: return nil
            }
        }
        return result
    }
}

extension JSONDocument {
    /// What `pointer` points at.
    func value(at pointer: String) -> JSONValue? {
        guard let segments = JSONPointer.segments(of: pointer) else {
            return nil
        }
        let found = deepest(segments)
        return found.depth == segments.count ? found.value : nil
    }

    /// Byte offset of what `pointer` points at: of the name for a member, else of the value. Where the document has no
    /// such value, as with a field that is missing, that of the innermost value around it.
    func offset(nearest pointer: String) -> Int {
        let value = deepest(JSONPointer.segments(of: pointer) ?? []).value
        return value.nameOffset ?? value.offset
    }

    /// Line and column of what `pointer` points at, for issues that were found after decoding. One pass over the text
    /// at most: for many pointers, collect offsets and use `JSONPosition.positions`.
    func position(nearest pointer: String) -> JSONPosition {
        JSONPosition(of: offset(nearest: pointer), in: bytes)
    }

    /// Follows `segments` as far as the document goes.
    private func deepest(_ segments: [String]) -> (value: JSONValue, depth: Int) {
        var value = root
        for (depth, segment) in segments.enumerated() {
            let child: JSONValue?
            switch value.kind {
            case .object:
                child = value.member(segment)
            case .list:
                // Written in one way only: RFC 6901 has no leading zeros, signs or spaces.
                child = Int(segment).flatMap { String($0) == segment ? value.element($0) : nil }
            default:
                child = nil
            }
            guard let child else {
                return (value, depth)
            }
            value = child
        }
        return (value, segments.count)
    }
}
