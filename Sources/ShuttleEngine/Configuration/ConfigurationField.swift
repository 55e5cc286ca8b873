// Owns what a field of the configuration is: its name on the wire, the kind of its value and where that lives, when it
// is there. Decoding, encoding, validation, suggestions and what a change is said to be all read tables of them.
// Leaves to others: the tables (ConfigurationObject), the values (ServiceConfiguration, BackendConfiguration), what is
// checked beyond one field (ConfigurationRules).

/// What an address is used for, which decides what it may be.
public enum AddressRole: Sendable {
    /// A service's own: host and port, a port on every local address, or a unix socket.
    case listen
    /// Of a backend: has a host, or is a unix socket.
    case connect
    /// As `connect`, or empty for none.
    case connectOrNone
}

/// When a field is there.
public enum FieldPresence: Sendable {
    /// Leaving it out is an error.
    case required
    /// Left out it has its default, and it is printed always: what clients have relied on from the start.
    case always
    /// Left out it has its default, and it is printed where it differs: a configuration shows what was decided in it.
    case whereNotDefault
}

/// One field of a configuration object.
public struct ConfigurationField<Object: Sendable>: Sendable {
    /// Where in the object a value lives.
    public typealias Path<Value> = any WritableKeyPath<Object, Value> & Sendable

    /// What kind of value the field has, where it lives and what it may be.
    public enum Kind: Sendable {
        case name(Path<String>)
        case address(Path<String>, AddressRole)
        case integer(Path<Int>, ClosedRange<Int>)
        /// As `integer`, in milliseconds.
        case milliseconds(Path<Int>, ClosedRange<Int>)
        case boolean(Path<Bool>)
        /// One of the words of an enumeration; made with `choice(_:)`.
        case word(WordAccess<Object>)
        case text(Path<String>, TextRule)
        case texts(Path<[String]>, TextListRule)
        /// An object with fields of its own; made with `object(_:)`.
        case nested(any NestedAccess<Object>)
        /// A list of objects with fields of their own; made with `list(_:countMax:)`.
        case objects(any ListAccess<Object>)
        case backends(Path<[BackendConfiguration]>)
    }

    /// The name on the wire.
    public let name: String
    public let kind: Kind
    public let presence: FieldPresence

    init(_ name: String, _ kind: Kind, _ presence: FieldPresence = .whereNotDefault) {
        self.name = name
        self.kind = kind
        self.presence = presence
    }

    public var isRequired: Bool {
        presence == .required
    }

    /// What a value must be, as the end of a sentence that starts with "it must be".
    public var requirement: String {
        switch kind {
        case .name:
            return "a string of \(ConfigurationNames.rule)"
        case .address(_, .listen):
            return "a string such as \"127.0.0.1:8080\", \"[::1]:8080\", \":8080\" or \"unix:/run/app.sock\", or "
                + "\"\" for a pool"
        case .address(_, .connect):
            return "a string such as \"10.0.0.1:8080\", \"[fd00::1]:8080\", \"unix:/run/app.sock\" or "
                + "\"srv:_redis._tcp.example.org\""
        case .address(_, .connectOrNone):
            return "a string such as \"10.0.0.1:8080\", \"[fd00::1]:8080\" or \"unix:/run/app.sock\", or \"\" for none"
        case .integer(_, let range):
            return "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .milliseconds(_, let range):
            return "an integer from \(range.lowerBound) to \(range.upperBound) (milliseconds)"
        case .boolean:
            return "true or false"
        case .word(let access):
            return ConfigurationField.joined(access.words.map { "\"\($0)\"" }, "or")
        case .text(_, let rule):
            return rule.requirement
        case .texts(_, let rule):
            return rule.requirement
        case .nested(let access):
            return "an object with the fields \(ConfigurationField.joined(access.fieldNames, "and"))"
        case .objects(let access):
            return "a list of objects with the fields \(ConfigurationField.joined(access.fieldNames, "and"))"
        case .backends:
            return "a list of backends"
        }
    }

    private static func joined(_ words: [String], _ conjunction: String) -> String {
        guard words.count > 1 else {
            return words.joined()
        }
        return words.dropLast().joined(separator: ", ") + " \(conjunction) \(words[words.count - 1])"
    }
}

extension ConfigurationField where Object: ConfigurationObject {
    /// Whether the field's value is another in `first` than in `second`. Backends are objects of their own.
    public func differs(_ first: Object, _ second: Object) -> Bool {
        switch kind {
        case .name(let path), .address(let path, _), .text(let path, _):
            return first[keyPath: path] != second[keyPath: path]
        case .integer(let path, _), .milliseconds(let path, _):
            return first[keyPath: path] != second[keyPath: path]
        case .boolean(let path):
            return first[keyPath: path] != second[keyPath: path]
        case .word(let access):
            return access.word(first) != access.word(second)
        case .texts(let path, _):
            return first[keyPath: path] != second[keyPath: path]
        case .nested(let access):
            return access.differs(first, second)
        case .objects(let access):
            return access.differs(first, second)
        case .backends:
            return false
        }
    }

    /// Gives `object` the value that `other` has.
    public func copy(from other: Object, to object: inout Object) {
        switch kind {
        case .name(let path), .address(let path, _), .text(let path, _):
            object[keyPath: path] = other[keyPath: path]
        case .integer(let path, _), .milliseconds(let path, _):
            object[keyPath: path] = other[keyPath: path]
        case .boolean(let path):
            object[keyPath: path] = other[keyPath: path]
        case .word(let access):
            // One that may be missing has no word then.
            if !access.choose(&object, access.word(other)) { access.clear(&object) }
        case .texts(let path, _):
            object[keyPath: path] = other[keyPath: path]
        case .nested(let access):
            access.copy(from: other, to: &object)
        case .objects(let access):
            access.copy(from: other, to: &object)
        case .backends(let path):
            object[keyPath: path] = other[keyPath: path]
        }
    }

    /// Whether `object` is printed with this field; `blank` is `Object.blank`.
    public func isPrinted(of object: Object, blank: Object) -> Bool {
        presence != .whereNotDefault || differs(object, blank)
    }
}
