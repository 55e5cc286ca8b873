// Owns a parsed JSON document: an immutable tree in which every value and name knows where it stands in the text.
// Leaves to others: reading the text (JSONParser.swift), pointers (JSONPointer.swift), what the values mean
// (ConfigurationDecoder.swift).

/// A JSON document that was parsed whole.
///
/// The tree is one flat list of small nodes beside the bytes themselves. Strings and numbers are taken out of the bytes
/// when asked for, so that a document costs little more than its text.
struct JSONDocument: Sendable {
    /// One value of the tree. Its children follow it, `next` is the node after the last of them.
    struct Node {
        /// Stands for "no name" in `nameStart`.
        static let noName = UInt32.max

        var kind: JSONValue.Kind
        /// Byte offset of the value's first character.
        var start: UInt32
        /// Byte offset of the opening quote of the name that the value has in its object.
        var nameStart: UInt32
        var next: UInt32
    }

    let bytes: [UInt8]
    let nodes: [Node]

    /// Parses `bytes`, which must be one JSON text in UTF-8 and nothing else.
    init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        var parser = JSONParser(bytes: bytes)
        try parser.parse()
        self.bytes = bytes
        self.nodes = parser.nodes
    }

    /// As above, for a part of a longer buffer.
    init(parsing bytes: ArraySlice<UInt8>) throws(JSONSyntaxError) {
        try self.init(parsing: Array(bytes))
    }

    var root: JSONValue {
        JSONValue(document: self, index: 0)
    }

    /// The string whose opening quote is at `start`, without the quotes, escapes resolved.
    func string(at start: Int) -> String {
        let end = JSONText.closingQuote(in: bytes, from: start)
        let content = bytes[start + 1..<end.offset]
        return String(decoding: end.hasEscapes ? JSONText.unescaped(content) : content, as: UTF8.self)
    }
}

/// A value in a document.
struct JSONValue: Sendable {
    enum Kind: UInt8, Sendable {
        case null, bool, number, string, list, object
    }

    let document: JSONDocument
    let index: Int

    private var node: JSONDocument.Node {
        document.nodes[index]
    }

    var kind: Kind {
        node.kind
    }

    /// Byte offset of the value's first character.
    var offset: Int {
        Int(node.start)
    }

    /// Byte offset of the name's opening quote, for a member of an object.
    var nameOffset: Int? {
        node.nameStart == JSONDocument.Node.noName ? nil : Int(node.nameStart)
    }

    /// The name the value has in its object.
    var name: String? {
        nameOffset.map { document.string(at: $0) }
    }

    var bool: Bool? {
        kind == .bool ? document.bytes[offset] == UInt8(ascii: "t") : nil
    }

    var string: String? {
        kind == .string ? document.string(at: offset) : nil
    }

    /// A number as it is written.
    var numberText: String? {
        guard kind == .number else {
            return nil
        }
        let text = document.bytes[offset...].prefix { JSONText.isNumberCharacter($0) }
        return String(decoding: text, as: UTF8.self)
    }

    /// A number that is written as an integer and fits. `5.0` and `5e0` are not integers here.
    var integer: Int? {
        numberText.flatMap { Int($0) }
    }

    /// The elements of a list or the members of an object, in the order of the text. Other values have none.
    var children: JSONChildren {
        JSONChildren(document: document, position: index + 1, end: Int(node.next))
    }

    /// The member of an object that has this name.
    func member(_ name: String) -> JSONValue? {
        kind == .object ? children.first { $0.name == name } : nil
    }

    /// The element of a list at this position.
    func element(_ position: Int) -> JSONValue? {
        kind == .list && position >= 0 ? children.dropFirst(position).first { _ in true } : nil
    }
}

/// Walks the children of a value; one step costs the same whatever is in the child.
struct JSONChildren: Sequence, IteratorProtocol {
    fileprivate let document: JSONDocument
    fileprivate var position: Int
    fileprivate let end: Int

    mutating func next() -> JSONValue? {
        guard position < end else {
            return nil
        }
        defer {
            position = Int(document.nodes[position].next)
        }
        return JSONValue(document: document, index: position)
    }
}
