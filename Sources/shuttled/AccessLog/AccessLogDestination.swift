// Owns what the flag -access-log may say: where lines go. Leaves to others: writing them (the sinks).

/// Where the lines of the access log go.
enum AccessLogDestination: Sendable, Equatable {
    case standardOutput
    /// Appended to, and opened anew on SIGUSR1.
    case file(String)
    /// By datagrams to a socket as syslog(3) writes to.
    case syslog(socket: String)
    /// By datagrams in journald's native protocol.
    case journald(socket: String)

    static let syslogSocket = "/dev/log"
    static let journaldSocket = "/run/systemd/journal/socket"
    static let forms = "stdout, /PATH, syslog, journald, syslog:/SOCKET or journald:/SOCKET"

    /// nil when it is none of `forms`.
    init?(_ text: String) {
        switch text {
        case "stdout": self = .standardOutput
        case "syslog": self = .syslog(socket: AccessLogDestination.syslogSocket)
        case "journald": self = .journald(socket: AccessLogDestination.journaldSocket)
        default:
            if text.hasPrefix("/"), !text.hasSuffix("/") {
                self = .file(text)
            } else if let socket = AccessLogDestination.path(behind: "syslog:", in: text) {
                self = .syslog(socket: socket)
            } else if let socket = AccessLogDestination.path(behind: "journald:", in: text) {
                self = .journald(socket: socket)
            } else {
                return nil
            }
        }
    }

    private static func path(behind prefix: String, in text: String) -> String? {
        guard text.hasPrefix(prefix), text.dropFirst(prefix.count).hasPrefix("/") else {
            return nil
        }
        return String(text.dropFirst(prefix.count))
    }
}

extension AccessLogDestination: CustomStringConvertible {
    var description: String {
        switch self {
        case .standardOutput: "stdout"
        case .file(let path): path
        case .syslog(let socket): socket == AccessLogDestination.syslogSocket ? "syslog" : "syslog:\(socket)"
        case .journald(let socket): socket == AccessLogDestination.journaldSocket ? "journald" : "journald:\(socket)"
        }
    }
}

/// How a line of the access log is written.
enum AccessLogFormat: String, CaseIterable, Sendable {
    /// An object on one line.
    case json
    /// `name=value` behind the time; what there is nothing to say of is left out.
    case text
}
