// Owns JSON as a value that is written down in the source, members in their order.
// Leaves to others: printing it (JSONWriter).

/// A JSON value.
indirect enum JSONNode: Sendable, Equatable {
    case text(String)
    case number(Int)
    case boolean(Bool)
    case list([JSONNode])
    case object([Member])

    struct Member: Sendable, Equatable {
        var name: String
        var value: JSONNode
    }

    func write(to writer: inout JSONWriter) {
        switch self {
        case .text(let text): writer.value(text)
        case .number(let number): writer.value(number)
        case .boolean(let boolean): writer.value(boolean)
        case .list(let nodes):
            writer.list { writer in
                for node in nodes { node.write(to: &writer) }
            }
        case .object(let members):
            writer.object { writer in
                for member in members {
                    writer.name(member.name)
                    member.value.write(to: &writer)
                }
            }
        }
    }

    /// With further members at the end of an object.
    func adding(_ members: KeyValuePairs<String, JSONNode>) -> JSONNode {
        guard case .object(let own) = self else {
            preconditionFailure("only objects have members")
        }
        return .object(own + members.map { Member(name: $0, value: $1) })
    }

    static func object(_ members: some Sequence<(String, JSONNode)>) -> JSONNode {
        .object(members.map { Member(name: $0.0, value: $0.1) })
    }

    static func texts(_ texts: some Sequence<String>) -> JSONNode { .list(texts.map { .text($0) }) }
}

extension JSONNode: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .number(value) }
    init(booleanLiteral value: Bool) { self = .boolean(value) }
    init(arrayLiteral elements: JSONNode...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, JSONNode)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }
}
