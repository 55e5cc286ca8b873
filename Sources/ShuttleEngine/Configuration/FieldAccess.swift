// Owns reaching values whose types a table of fields cannot name: the words of any enumeration, any object within an
// object; and what strings may be.
// Leaves to others: the fields (ConfigurationField), reading and printing them (shuttled/Configuration).

/// Reads and writes a value out of an enumeration as its word on the wire.
public struct WordAccess<Object>: Sendable {
    /// In the order of the enumeration.
    public let words: [String]
    /// The word of the object's value.
    public let word: @Sendable (Object) -> String
    /// Takes up the value that has this word, or returns false where none has.
    public let choose: @Sendable (inout Object, String) -> Bool
}

extension ConfigurationField.Kind {
    /// A value out of an enumeration.
    static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ path: ConfigurationField<Object>.Path<Value>
    ) -> Self {
        .word(
            WordAccess(
                words: Value.allCases.map(\.rawValue),
                word: { $0[keyPath: path].rawValue },
                choose: { object, word in
                    guard let value = Value(rawValue: word) else {
                        return false
                    }
                    object[keyPath: path] = value
                    return true
                }
            )
        )
    }

    /// An object that is always there; what its text leaves out has the default of `Value.blank`.
    static func object<Value: ConfigurationObject>(_ path: ConfigurationField<Object>.Path<Value>) -> Self {
        .nested(
            NestedPath<Object, Value>(
                read: { $0[keyPath: path] },
                write: { object, value in object[keyPath: path] = value }
            )
        )
    }

    /// An object that may be missing. Where it is there, what its text leaves out has the default of `Value.blank`.
    static func object<Value: ConfigurationObject>(_ path: ConfigurationField<Object>.Path<Value?>) -> Self {
        .nested(
            NestedPath<Object, Value>(
                read: { $0[keyPath: path] },
                write: { object, value in object[keyPath: path] = value }
            )
        )
    }
}

/// Reads and writes an object within an object.
public protocol NestedAccess<Owner>: Sendable {
    associatedtype Owner
    associatedtype Value: ConfigurationObject

    /// nil where there is none.
    func value(in owner: Owner) -> Value?
    func set(_ value: Value, in owner: inout Owner)
}

extension NestedAccess {
    var fieldNames: [String] {
        Value.fields.map(\.name)
    }

    func differs(_ first: Owner, _ second: Owner) -> Bool {
        value(in: first) != value(in: second)
    }

    /// Whether the objects have a field of this name.
    public func hasField(_ name: String) -> Bool {
        fieldNames.contains(name)
    }
}

private struct NestedPath<Owner, Value: ConfigurationObject>: NestedAccess {
    let read: @Sendable (Owner) -> Value?
    let write: @Sendable (inout Owner, Value) -> Void

    func value(in owner: Owner) -> Value? {
        read(owner)
    }

    func set(_ value: Value, in owner: inout Owner) {
        write(&owner, value)
    }
}

/// What a string may be.
public struct TextRule: Sendable {
    /// In words, as the end of a sentence that starts with "it must be".
    public let requirement: String
    let accepts: @Sendable (String) -> Bool

    /// A string whose length in bytes is in `lengths`.
    init(lengths: ClosedRange<Int>) {
        self.init("a string of \(lengths.lowerBound) to \(lengths.upperBound) bytes") {
            lengths.contains($0.utf8.count)
        }
    }

    init(_ requirement: String, accepts: @escaping @Sendable (String) -> Bool) {
        self.requirement = requirement
        self.accepts = accepts
    }
}

/// What a list of strings may be.
public struct TextListRule: Sendable {
    public let element: TextRule
    let countMax: Int
    /// Whether a list of one may be written without brackets; it is printed so then.
    public let mayBeOneString: Bool

    init(of element: TextRule, countMax: Int, mayBeOneString: Bool = false) {
        self.element = element
        self.countMax = countMax
        self.mayBeOneString = mayBeOneString
    }

    var requirement: String {
        let intro = mayBeOneString ? "\(element.requirement), or " : ""
        return intro + "a list of at most \(countMax), each \(element.requirement)"
    }
}
