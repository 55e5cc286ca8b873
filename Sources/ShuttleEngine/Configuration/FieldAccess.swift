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
    /// Takes the value away, where it may be missing.
    var clear: @Sendable (inout Object) -> Void = { _ in }
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

    /// A value out of an enumeration that may be missing: then it has no word.
    static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ path: ConfigurationField<Object>.Path<Value?>
    ) -> Self {
        .word(
            WordAccess(
                words: Value.allCases.map(\.rawValue),
                word: { $0[keyPath: path]?.rawValue ?? "" },
                choose: { object, word in
                    guard let value = Value(rawValue: word) else {
                        return false
                    }
                    object[keyPath: path] = value
                    return true
                },
                clear: { object in object[keyPath: path] = nil }
            )
        )
    }

    /// An object that is always there; what its text leaves out has the default of `Value.blank`.
    static func object<Value: ConfigurationObject>(_ path: ConfigurationField<Object>.Path<Value>) -> Self {
        .nested(
            NestedPath<Object, Value>(
                read: { $0[keyPath: path] },
                write: { object, value in object[keyPath: path] = value },
                copy: { other, object in object[keyPath: path] = other[keyPath: path] }
            )
        )
    }

    /// An object that may be missing. Where it is there, what its text leaves out has the default of `Value.blank`.
    static func object<Value: ConfigurationObject>(_ path: ConfigurationField<Object>.Path<Value?>) -> Self {
        .nested(
            NestedPath<Object, Value>(
                read: { $0[keyPath: path] },
                write: { object, value in object[keyPath: path] = value },
                copy: { other, object in object[keyPath: path] = other[keyPath: path] }
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
    /// Takes over what `other` has, none included.
    func copy(from other: Owner, to owner: inout Owner)
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
    let copy: @Sendable (Owner, inout Owner) -> Void

    func value(in owner: Owner) -> Value? {
        read(owner)
    }

    func set(_ value: Value, in owner: inout Owner) {
        write(&owner, value)
    }

    func copy(from other: Owner, to owner: inout Owner) {
        copy(other, &owner)
    }
}

extension ConfigurationField.Kind {
    /// A list of objects.
    static func list<Value: ConfigurationObject>(
        _ path: ConfigurationField<Object>.Path<[Value]>, countMax: Int
    ) -> Self {
        .objects(
            ListPath<Object, Value>(
                countMax: countMax,
                read: { $0[keyPath: path] },
                write: { object, values in object[keyPath: path] = values }
            )
        )
    }
}

/// Reads and writes a list of objects within an object.
public protocol ListAccess<Owner>: Sendable {
    associatedtype Owner
    associatedtype Value: ConfigurationObject

    var countMax: Int { get }

    func values(in owner: Owner) -> [Value]
    func set(_ values: [Value], in owner: inout Owner)
}

extension ListAccess {
    var fieldNames: [String] {
        Value.fields.map(\.name)
    }

    func differs(_ first: Owner, _ second: Owner) -> Bool {
        values(in: first) != values(in: second)
    }

    func copy(from other: Owner, to owner: inout Owner) {
        set(values(in: other), in: &owner)
    }
}

private struct ListPath<Owner, Value: ConfigurationObject>: ListAccess {
    let countMax: Int
    let read: @Sendable (Owner) -> [Value]
    let write: @Sendable (inout Owner, [Value]) -> Void

    func values(in owner: Owner) -> [Value] {
        read(owner)
    }

    func set(_ values: [Value], in owner: inout Owner) {
        write(&owner, values)
    }
}

/// What a string may be.
public struct TextRule: Sendable {
    /// In words, as the end of a sentence that starts with "it must be".
    public let requirement: String
    let verdict: @Sendable (String) -> Verdict

    /// What a rule says of a string.
    enum Verdict: Equatable {
        case accepted
        /// With what is wrong with this one and the remedy, where that is more than the requirement says.
        case refused(String?)
    }

    /// A string whose length in bytes is in `lengths`.
    init(lengths: ClosedRange<Int>) {
        self.init("a string of \(lengths.lowerBound) to \(lengths.upperBound) bytes") {
            lengths.contains($0.utf8.count)
        }
    }

    init(_ requirement: String, accepts: @escaping @Sendable (String) -> Bool) {
        self.init(requirement) { accepts($0) ? .accepted : .refused(nil) }
    }

    init(_ requirement: String, verdict: @escaping @Sendable (String) -> Verdict) {
        self.requirement = requirement
        self.verdict = verdict
    }

    func accepts(_ text: String) -> Bool {
        verdict(text) == .accepted
    }

    /// What is wrong with a string, as the end of a sentence that has named it; nil where nothing is.
    func problem(with text: String) -> String? {
        switch verdict(text) {
        case .accepted: nil
        case .refused(let explanation): explanation ?? "it must be \(requirement)"
        }
    }
}

/// What a list of strings may be.
public struct TextListRule: Sendable {
    public let element: TextRule
    public let countMax: Int
    /// Whether a list of one may be written without brackets; it is printed so then.
    public let mayBeOneString: Bool
    /// Entries that cannot stand beside others, in order, with what is wrong as the end of a sentence that has named the
    /// list and "has"; given the JSON pointer of the list.
    let conflicts: @Sendable (_ texts: [String], _ pointer: String) -> [(index: Int, detail: String)]

    init(
        of element: TextRule,
        countMax: Int,
        mayBeOneString: Bool = false,
        conflicts: @escaping @Sendable ([String], String) -> [(index: Int, detail: String)] = { _, _ in [] }
    ) {
        self.element = element
        self.countMax = countMax
        self.mayBeOneString = mayBeOneString
        self.conflicts = conflicts
    }

    var requirement: String {
        let intro = mayBeOneString ? "\(element.requirement), or " : ""
        return intro + "a list of at most \(countMax), each \(element.requirement)"
    }
}
