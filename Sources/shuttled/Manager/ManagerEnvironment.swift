// Owns what a service manager says to a process that it starts, by variables: sd_watchdog_enabled(3), sd_listen_fds(3). Pure; the variables are handed in.
// Leaves to others: whom to tell (ManagerSocket), the descriptors themselves (HandedSockets).

import ShuttleEngine

/// What the variables say to the process `process`.
struct ManagerEnvironment: Equatable, Sendable {
    /// Microseconds within which the manager wants a sign of life; nil for never.
    var watchdogMicroseconds: UInt64?
    /// Names of the descriptors that were handed over, in their order.
    var socketNames: [String]

    /// The first descriptor that is handed over.
    static let firstDescriptor: Int32 = 3
    /// More than any unit has; a number that is larger is a mistake.
    static let socketsMax = 4096

    /// What is wrong with a variable: its name, its value, the remedy.
    struct Invalid: Error, Equatable, Sendable {
        var text: String
    }

    init(_ variables: [String: String], process: Int32) throws(Invalid) {
        watchdogMicroseconds = try ManagerEnvironment.watchdog(variables, process)
        socketNames = try ManagerEnvironment.names(variables, process)
    }

    private static func watchdog(_ variables: [String: String], _ process: Int32) throws(Invalid) -> UInt64? {
        guard let text = variables["WATCHDOG_USEC"], !text.isEmpty else {
            return nil
        }
        // Meant for the process that started this one.
        if let owner = variables["WATCHDOG_PID"], !owner.isEmpty, Int32(owner) != process {
            return nil
        }
        guard let microseconds = UInt64(text), microseconds > 0 else {
            throw Invalid(
                text:
                    "WATCHDOG_USEC is \(Quoted(text)); it must be a number of microseconds above 0, as WatchdogSec= of systemd "
                    + "makes it; unset it otherwise")
        }
        return microseconds
    }

    private static func names(_ variables: [String: String], _ process: Int32) throws(Invalid) -> [String] {
        // Without LISTEN_PID, or with another's, the descriptors are somebody else's.
        guard let owner = variables["LISTEN_PID"], Int32(owner) == process else {
            return []
        }
        let text = variables["LISTEN_FDS"] ?? ""
        guard let count = Int(text), (0...socketsMax).contains(count) else {
            throw Invalid(
                text: "LISTEN_FDS is \(Quoted(text)); it must be the number of sockets that are handed over, from 0 to "
                    + "\(socketsMax); unset LISTEN_PID if there are none")
        }
        guard let list = variables["LISTEN_FDNAMES"] else {
            return Array(repeating: "", count: count)
        }
        let names =
            count == 0 && list.isEmpty
            ? [] : list.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard names.count == count else {
            throw Invalid(
                text:
                    "LISTEN_FDNAMES is \(Quoted(list)), which are \(names.count) names for \(count) sockets (LISTEN_FDS); give "
                    + "each its name, or unset LISTEN_FDNAMES")
        }
        return names
    }
}
