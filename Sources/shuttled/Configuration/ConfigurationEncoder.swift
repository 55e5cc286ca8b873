// Owns the printed form of a configuration: which fields, in which order, sorted how.
// Leaves to others: JSON itself (JSONWriter), the field table (ConfigurationField), statistics, which print the same
// fields and then their own.

import ShuttleEngine

/// Prints configurations so that what was printed can be read back as it was.
enum ConfigurationEncoder {
    /// The whole configuration as a list, services sorted by name, with a trailing newline: answers and state files.
    static func bytes(of services: [ServiceConfiguration]) -> [UInt8] {
        let backendCount = services.reduce(0) { $0 + $1.backends.count }
        var writer = JSONWriter(capacity: 64 + services.count * 320 + backendCount * 160)
        write(services, to: &writer)
        return writer.finish(trailingNewline: true)
    }

    /// One service or backend, with a trailing newline.
    static func bytes(of object: some ConfigurationObject) -> [UInt8] {
        var writer = JSONWriter()
        write(object, to: &writer)
        return writer.finish(trailingNewline: true)
    }

    static func write(_ services: [ServiceConfiguration], to writer: inout JSONWriter) {
        writer.list { writer in
            for service in sorted(services) {
                write(service, to: &writer)
            }
        }
    }

    /// Services in the order in which they are printed everywhere: by name, byte by byte.
    static func sorted(_ services: [ServiceConfiguration]) -> [ServiceConfiguration] {
        services.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// An object with its fields; a service includes its backends.
    static func write<Object: ConfigurationObject>(_ object: Object, to writer: inout JSONWriter) {
        writer.object { writer in
            writeFields(of: object, to: &writer)
            for field in Object.fields {
                guard case .backends(let path) = field.kind else {
                    continue
                }
                writer.list(field.name) { writer in
                    for backend in object[keyPath: path] {
                        write(backend, to: &writer)
                    }
                }
            }
        }
    }

    /// The fields of an object, into an object that is open: for printing them with others. Those that have their
    /// default are left out where `FieldPresence` says so. A service's backends are the caller's to print, under
    /// `ServiceConfiguration.backendsName`.
    static func writeFields<Object: ConfigurationObject>(of object: Object, to writer: inout JSONWriter) {
        let blank = Object.blank
        for field in Object.fields where field.isPrinted(of: object, blank: blank) {
            write(field, of: object, as: field.name, to: &writer)
        }
    }

    /// One field, under a name. Nothing is written of a nested object that is not there, nor of backends.
    static func write<Object: ConfigurationObject>(
        _ field: ConfigurationField<Object>, of object: Object, as name: String, to writer: inout JSONWriter
    ) {
        switch field.kind {
        case .name(let path), .address(let path, _), .text(let path, _):
            writer.member(name, object[keyPath: path])
        case .integer(let path, _), .milliseconds(let path, _):
            writer.member(name, object[keyPath: path])
        case .boolean(let path):
            writer.member(name, object[keyPath: path])
        case .word(let access):
            writer.member(name, access.word(object))
        case .texts(let path, let rule):
            write(object[keyPath: path], rule, as: name, to: &writer)
        case .nested(let access):
            write(access, in: object, as: name, to: &writer)
        case .objects(let access):
            write(access, in: object, as: name, to: &writer)
        case .backends:
            break
        }
    }

    private static func write(
        _ texts: [String], _ rule: TextListRule, as name: String, to writer: inout JSONWriter
    ) {
        if rule.mayBeOneString, texts.count == 1 {
            writer.member(name, texts[0])
            return
        }
        writer.list(name) { writer in
            for text in texts {
                writer.value(text)
            }
        }
    }

    private static func write<Access: ListAccess>(
        _ access: Access, in owner: Access.Owner, as name: String, to writer: inout JSONWriter
    ) {
        writer.list(name) { writer in
            for value in access.values(in: owner) {
                write(value, to: &writer)
            }
        }
    }

    private static func write<Access: NestedAccess>(
        _ access: Access, in owner: Access.Owner, as name: String, to writer: inout JSONWriter
    ) {
        guard let value = access.value(in: owner) else {
            return
        }
        writer.object(name) { writer in
            writeFields(of: value, to: &writer)
        }
    }
}
