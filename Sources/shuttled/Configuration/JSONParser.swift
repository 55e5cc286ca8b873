// Owns reading JSON text strictly as RFC 8259 has it, and what is refused beyond it: duplicate names, deep nesting,
// a byte order mark, and sizes that no configuration has.
// Leaves to others: strings and numbers (JSONParser+Scalars.swift), the tree it fills (JSONDocument.swift).

import ShuttleEngine

/// Reads one JSON text from its first byte to its last, in time linear in its length, and never traps on any input.
///
/// Nesting is bounded, hence so is the recursion.
struct JSONParser {
    /// Lists and objects inside each other; a configuration has four.
    static let depthMax = 32
    /// Values in a document: many times what fits into the largest configuration in the shape it is printed in.
    static let valuesMax = 8_388_608
    /// Members of one object.
    static let membersMax = 65_536
    /// Bytes of one field name. Names end up in the pointers of messages, whole.
    static let nameLengthMax = 1024
    /// Up to here names are compared with each other, beyond they are looked up.
    private static let membersComparedMax = 16

    /// Where the parser is inside one list or object.
    enum Step {
        /// Between members or elements: what is wrong here is about the list or object itself.
        case between
        case element(Int)
        /// The member whose name opens at this offset.
        case member(Int)
    }

    let bytes: [UInt8]
    var offset = 0
    var nodes: [JSONDocument.Node] = []
    /// One step for each list or object that is open.
    var path: [Step] = []

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func parse() throws(JSONSyntaxError) {
        // Offsets are kept in 32 bits.
        guard bytes.count < Int(UInt32.max) else {
            throw failure("the document has \(bytes.count) bytes, which is too large", at: 0)
        }
        try checkEncoding()
        skipWhitespace()
        if offset == bytes.count {
            throw failure("the document is empty; an empty configuration is written []")
        }
        try parseValue(nameStart: JSONDocument.Node.noName)
        skipWhitespace()
        if offset < bytes.count {
            throw failure("\(found()) follows the end of the document; remove what comes after it")
        }
    }

    // MARK: Values

    private mutating func parseValue(nameStart: UInt32) throws(JSONSyntaxError) {
        let index = nodes.count
        guard index < JSONParser.valuesMax else {
            throw failure("the document has more than \(JSONParser.valuesMax) values, which is too many")
        }
        nodes.append(
            JSONDocument.Node(kind: .null, start: UInt32(offset), nameStart: nameStart, next: 0)
        )
        guard let byte = current else {
            throw failure("the document ends where a value is needed; it may have been cut off")
        }
        let kind: JSONValue.Kind
        switch byte {
        case UInt8(ascii: "{"):
            kind = .object
            try parseObject()
        case UInt8(ascii: "["):
            kind = .list
            try parseList()
        case UInt8(ascii: "\""):
            kind = .string
            try scanString()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            kind = .number
            try scanNumber()
        default:
            kind = try scanWord()
        }
        nodes[index].kind = kind
        nodes[index].next = UInt32(nodes.count)
    }

    private mutating func parseList() throws(JSONSyntaxError) {
        let start = try open()
        if current == UInt8(ascii: "]") {
            close()
            return
        }
        var position = 0
        while true {
            path[path.count - 1] = .element(position)
            try parseValue(nameStart: JSONDocument.Node.noName)
            path[path.count - 1] = .between
            guard try another(before: UInt8(ascii: "]"), in: "list", openedAt: start) else {
                close()
                return
            }
            position += 1
        }
    }

    private mutating func parseObject() throws(JSONSyntaxError) {
        let object = nodes.count - 1
        let start = try open()
        if current == UInt8(ascii: "}") {
            close()
            return
        }
        var count = 0
        var names: Set<ArraySlice<UInt8>> = []
        while true {
            let nameStart = offset
            guard current == UInt8(ascii: "\"") else {
                throw failure(
                    current == nil
                        ? endOfDocument(in: "object", openedAt: start)
                        : "\(found()) stands where a field name is needed; write the name in double quotes"
                )
            }
            try scanString()
            guard offset - nameStart - 2 <= JSONParser.nameLengthMax else {
                throw failure("a field name is longer than \(JSONParser.nameLengthMax) bytes", at: nameStart)
            }
            path[path.count - 1] = .member(nameStart)
            try checkDuplicate(nameStart, of: object, count: count, names: &names)
            count += 1
            skipWhitespace()
            guard current == UInt8(ascii: ":") else {
                throw failure(
                    current == nil
                        ? endOfDocument(in: "object", openedAt: start)
                        : "\(found()) follows a field name; put a colon between name and value"
                )
            }
            offset += 1
            skipWhitespace()
            try parseValue(nameStart: UInt32(nameStart))
            path[path.count - 1] = .between
            guard try another(before: UInt8(ascii: "}"), in: "object", openedAt: start) else {
                close()
                return
            }
        }
    }

    /// Enters a list or object. Returns where it opened.
    private mutating func open() throws(JSONSyntaxError) -> Int {
        guard path.count < JSONParser.depthMax else {
            throw failure("lists and objects are nested more than \(JSONParser.depthMax) deep")
        }
        let start = offset
        path.append(.between)
        offset += 1
        skipWhitespace()
        return start
    }

    private mutating func close() {
        path.removeLast()
        offset += 1
    }

    /// After a member or element: passes a comma and returns true, or stops before `end` and returns false.
    private mutating func another(
        before end: UInt8, in container: String, openedAt start: Int
    ) throws(JSONSyntaxError) -> Bool {
        skipWhitespace()
        guard let byte = current else {
            throw failure(endOfDocument(in: container, openedAt: start))
        }
        if byte == end {
            return false
        }
        let closing = "\"\(Character(Unicode.Scalar(end)))\""
        guard byte == UInt8(ascii: ",") else {
            throw failure("\(found()) stands where a comma or the closing \(closing) of the \(container) is needed")
        }
        let comma = offset
        offset += 1
        skipWhitespace()
        if current == end {
            throw failure("a comma stands before the closing \(closing) of the \(container); remove it", at: comma)
        }
        return true
    }

    private func endOfDocument(in container: String, openedAt start: Int) -> String {
        "the document ends inside the \(container) that opens at \(JSONPosition(of: start, in: bytes)); "
            + "it may have been cut off"
    }

    /// Refuses the name at `nameStart` if one of the object's `count` members so far has it. The value that belongs to
    /// the name has not been read yet.
    private mutating func checkDuplicate(
        _ nameStart: Int, of object: Int, count: Int, names: inout Set<ArraySlice<UInt8>>
    ) throws(JSONSyntaxError) {
        guard count < JSONParser.membersMax else {
            throw failure("the object has more than \(JSONParser.membersMax) fields, which is too many", at: nameStart)
        }
        var isDuplicate = false
        if count <= JSONParser.membersComparedMax {
            var sibling = object + 1
            while sibling < nodes.count {
                let other = Int(nodes[sibling].nameStart)
                isDuplicate = isDuplicate || JSONText.areEqual(nameStart, other, in: bytes)
                if count == JSONParser.membersComparedMax {
                    names.insert(JSONText.content(at: other, in: bytes))
                }
                sibling = Int(nodes[sibling].next)
            }
        }
        if count >= JSONParser.membersComparedMax, !names.insert(JSONText.content(at: nameStart, in: bytes)).inserted {
            isDuplicate = true
        }
        if isDuplicate {
            let name = String(decoding: JSONText.content(at: nameStart, in: bytes), as: UTF8.self)
            throw failure("the field \(Quoted(name)) is there twice in one object; keep one of them", at: nameStart)
        }
    }

    // MARK: Steps

    /// The byte to be read next, nil at the end.
    var current: UInt8? {
        offset < bytes.count ? bytes[offset] : nil
    }

    private mutating func skipWhitespace() {
        while offset < bytes.count, JSONText.isWhitespace(bytes[offset]) {
            offset += 1
        }
    }

    private func checkEncoding() throws(JSONSyntaxError) {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw failure("the document starts with a byte order mark; save it as UTF-8 without one")
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) || bytes.prefix(2).contains(0) {
            throw failure("the document is not UTF-8, it looks like UTF-16 or UTF-32; save it as UTF-8")
        }
    }

    // MARK: Faults

    /// What stands at the offset, for messages.
    func found() -> String {
        guard let byte = current else {
            return "the end of the document"
        }
        if (0x20..<0x7F).contains(byte) {
            return Quoted(String(Character(Unicode.Scalar(byte)))).description
        }
        // A character of several bytes is shown whole, if it is one.
        if byte >= 0x80, let length = validSequence(at: offset) {
            return Quoted(String(decoding: bytes[offset..<offset + length], as: UTF8.self)).description
        }
        return "the byte 0x\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16, uppercase: true))"
    }

    func failure(_ reason: String, at faultOffset: Int? = nil) -> JSONSyntaxError {
        let faultOffset = faultOffset ?? offset
        var pointer = ""
        for step in path {
            switch step {
            case .between: break
            case .element(let position): pointer += "/\(position)"
            case .member(let nameStart):
                let name = String(decoding: JSONText.content(at: nameStart, in: bytes), as: UTF8.self)
                pointer += "/" + JSONPointer.escape(name)
            }
        }
        return JSONSyntaxError(
            offset: faultOffset,
            position: JSONPosition(of: faultOffset, in: bytes),
            reason: reason,
            pointer: path.isEmpty ? nil : pointer
        )
    }
}
