// Owns making a merge patch of `field=value` as it is written on a command line.
// Leaves to others: which fields there are and what they may say (the server).

import ShuttleEngine

/// The fields of a patch, in the order in which they were given.
struct MergePatch: Equatable, Sendable {
    private indirect enum Node: Equatable, Sendable {
        /// One JSON value as text.
        case value(String)
        case object([(name: String, node: Node)])

        static func == (one: Node, other: Node) -> Bool {
            switch (one, other) {
            case (.value(let one), .value(let other)): one == other
            case (.object(let one), .object(let other)):
                one.elementsEqual(other) { $0.name == $1.name && $0.node == $1.node }
            default: false
            }
        }
    }

    struct ParsingError: Error, Equatable, CustomStringConvertible {
        var description: String
    }

    private var root = Node.object([])

    /// Each like `weight=5`, `state=drain`, `check.path=/health` or `allow=["10.0.0.0/8"]`: what is JSON is taken as that, all
    /// else as text.
    init(_ assignments: [String]) throws(ParsingError) {
        for assignment in assignments {
            guard let equals = assignment.firstIndex(of: "=") else {
                throw ParsingError(
                    description:
                        "\(Quoted(assignment)) has no value; write FIELD=VALUE, such as weight=5, or FIELD=null for "
                        + "the default"
                )
            }
            let names = assignment[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard names.allSatisfy({ !$0.isEmpty }) else {
                throw ParsingError(
                    description:
                        "\(Quoted(assignment)) does not begin with the name of a field; write FIELD=VALUE, such as "
                        + "weight=5 or check.path=/health"
                )
            }
            let value = try MergePatch.json(String(assignment[assignment.index(after: equals)...]), of: assignment)
            guard MergePatch.put(value, at: names[...], in: &root) else {
                throw ParsingError(
                    description:
                        "\(Quoted(names.joined(separator: "."))) is given twice, or once as a whole and once in "
                        + "parts; give it once"
                )
            }
        }
    }

    private static func json(_ text: String, of assignment: String) throws(ParsingError) -> String {
        do throws(JSONSyntaxError) {
            _ = try JSONDocument(parsing: Array(text.utf8))
            return text
        } catch {
            // Who begins like this means JSON, and would not find a slip of the pen again in a text.
            if let first = text.first, "{[\"".contains(first) {
                throw ParsingError(
                    description: "\(Quoted(assignment)): the value begins as JSON and is none: \(error.reason)"
                )
            }
        }
        var writer = JSONWriter()
        writer.value(text)
        return String(decoding: writer.finish(trailingNewline: false), as: UTF8.self)
    }

    private static func put(_ value: String, at names: ArraySlice<String>, in node: inout Node) -> Bool {
        guard case .object(var members) = node, let name = names.first else {
            return false
        }
        let rest = names.dropFirst()
        let index = members.firstIndex { $0.name == name }
        if rest.isEmpty {
            guard index == nil else {
                return false
            }
            members.append((name, .value(value)))
        } else {
            var child = index.map { members[$0].node } ?? .object([])
            guard put(value, at: rest, in: &child) else {
                return false
            }
            if let index {
                members[index].node = child
            } else {
                members.append((name, child))
            }
        }
        node = .object(members)
        return true
    }

    /// The patch as it is sent.
    var bytes: [UInt8] { Array(MergePatch.text(root).utf8) }

    private static func text(_ node: Node) -> String {
        switch node {
        case .value(let text): return text
        case .object(let members):
            let list = members.map { member in
                var writer = JSONWriter()
                writer.value(member.name)
                let name = String(decoding: writer.finish(trailingNewline: false), as: UTF8.self)
                return "\(name): \(text(member.node))"
            }
            return "{\(list.joined(separator: ", "))}"
        }
    }
}
