// Owns the names of a check's fields on the wire.
// Leaves to others: the values and which of them go together (CheckConfiguration).

extension CheckConfiguration: ConfigurationObject {
    public static let objectName = "check"

    public static let fields: [ConfigurationField<CheckConfiguration>] = [
        .init("type", .choice(\.type), .always),
        .init("path", .text(\.path, ruled("a path such as \"/health\""))),
        .init("host", .text(\.host, ruled("a host such as \"www.example\""))),
        .init("status", .text(\.status, ruled("a string such as \"200\", \"200-299\" or \"200,204,300-399\""))),
        .init("send", .text(\.send, ruled("text, or \"hex:\" and hexadecimal digits"))),
        .init("expect", .text(\.expect, ruled("text, or \"hex:\" and hexadecimal digits"))),
        .init("sni", .text(\.serverName, ruled("a host name such as \"www.example\""))),
        .init("verify", .boolean(\.verify)),
        .init("timeout", .milliseconds(\.timeoutMilliseconds, ConfigurationRanges.checkTimeoutMilliseconds)),
    ]

    /// What a field may be depends on the type: all of it is said by rules.
    private static func ruled(_ requirement: String) -> TextRule {
        TextRule(requirement) { _ in true }
    }

    public static let rules = typesByField.map { field, _ in
        ConfigurationRule<CheckConfiguration>(field) { check in
            check.problems.first { $0.field == field }?.detail
        }
    }

    public static let blank = CheckConfiguration()
}
