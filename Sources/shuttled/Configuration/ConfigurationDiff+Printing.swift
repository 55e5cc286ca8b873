// Owns the printed form of differences: lines, and the operations of a JSON Patch (RFC 6902).
// Leaves to others: finding them (ConfigurationDiff), and how fields are printed (ConfigurationEncoder).

import ShuttleEngine

extension ConfigurationDiff {
    /// Characters of a value that are shown in a line; the patch has all of them.
    private static let textMax = 80

    /// As members of an object that is open: `diff`, `patch`.
    func write(to writer: inout JSONWriter) {
        writer.member("diff", lines)
        writer.list("patch") { writer in
            for step in steps {
                writer.object { ConfigurationDiff.write(step, to: &$0) }
            }
        }
    }

    private static func write(_ step: Step, to writer: inout JSONWriter) {
        switch step.action {
        case .add(let content):
            writer.member("op", "add")
            writer.member("path", step.path)
            write(content, to: &writer)
        case .replace(let content):
            writer.member("op", "replace")
            writer.member("path", step.path)
            write(content, to: &writer)
        case .remove:
            writer.member("op", "remove")
            writer.member("path", step.path)
        }
    }

    private static func write(_ content: Content, to writer: inout JSONWriter) {
        let name = "value"
        switch content {
        case .service(let service):
            writer.name(name)
            ConfigurationEncoder.write(service, to: &writer)
        case .backend(let backend):
            writer.name(name)
            ConfigurationEncoder.write(backend, to: &writer)
        case .backends(let backends):
            writer.list(name) { writer in
                for backend in backends {
                    ConfigurationEncoder.write(backend, to: &writer)
                }
            }
        case .serviceField(let service, let index):
            ConfigurationEncoder.write(ServiceConfiguration.fields[index], of: service, as: name, to: &writer)
        case .backendField(let backend, let index):
            ConfigurationEncoder.write(BackendConfiguration.fields[index], of: backend, as: name, to: &writer)
        }
    }

    /// A field's value on one line, cut off where it is long.
    static func text<Object: ConfigurationObject>(of field: ConfigurationField<Object>, in object: Object) -> String {
        var writer = JSONWriter()
        writer.object { ConfigurationEncoder.write(field, of: object, as: "", to: &$0) }
        let compact = JSONText.compact(writer.finish(trailingNewline: false))
        // Without the braces and the name; where nothing was written there is no value.
        let text = String(decoding: compact.dropFirst(4).dropLast(), as: UTF8.self)
        guard !text.isEmpty else {
            return "none"
        }
        return text.count <= textMax ? text : "\(text.prefix(textMax))… (\(text.count) characters)"
    }
}

extension JSONText {
    /// A JSON text without the white space between its values.
    static func compact(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var (isInString, isEscaped) = (false, false)
        for byte in bytes {
            if isInString {
                result.append(byte)
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
            } else if byte > UInt8(ascii: " ") {
                result.append(byte)
                isInString = byte == UInt8(ascii: "\"")
            }
        }
        return result
    }
}
