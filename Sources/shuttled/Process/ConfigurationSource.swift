// Owns which file the start takes its configuration from, and telling where in it a problem is.
// Leaves to others: reading files (Persistence), applying what is in them (ControlPlane).

import Logging
import ShuttleEngine

/// The configuration of the start: the state where there is one, else the default, else none.
struct ConfigurationSource: Sendable {
    /// Nil where no file was named, or the state has to be made yet and there is no default.
    let file: ConfigurationFile?
    /// Whether `file` is the state.
    let isState: Bool
    /// Locked for this process, where the flag names one.
    let stateFile: StateFile?

    var services: [ServiceConfiguration] { file?.services ?? [] }

    /// Blocks.
    static func load(config: String?, state: String?) throws(StartFailure) -> ConfigurationSource {
        do throws(ConfigurationFileError) {
            guard let state else {
                return ConfigurationSource(
                    file: try config.map { path throws(ConfigurationFileError) in
                        try ConfigurationFile(reading: path)
                    },
                    isState: false, stateFile: nil
                )
            }
            let stateFile = try open(state)
            if let file = try ConfigurationFile(readingState: state) {
                return ConfigurationSource(file: file, isState: true, stateFile: stateFile)
            }
            return ConfigurationSource(
                file: try config.map { path throws(ConfigurationFileError) in try ConfigurationFile(reading: path) },
                isState: false, stateFile: stateFile
            )
        } catch {
            throw StartFailure(.badConfiguration, lines: error.lines)
        }
    }

    private static func open(_ path: String) throws(ConfigurationFileError) -> StateFile {
        do throws(FileFailure) {
            return try StateFile(opening: path)
        } catch {
            throw ConfigurationFileError(error)
        }
    }

    /// Says once what this means for changes.
    func tell(_ logger: Logger) {
        if stateFile == nil {
            logger.warning("no -state file: changes live in memory and are lost when shuttled stops")
        }
        if let file {
            logger.info(
                "configuration read",
                metadata: [
                    "file": "\(file.path)", "kind": isState ? "state" : "default",
                    "services": "\(file.services.count)",
                ]
            )
        }
    }

    /// Why this configuration could not be applied, with the places in its file.
    func failure(_ refusal: ChangeRefusal) -> StartFailure {
        switch refusal {
        case .invalid(let issues):
            return StartFailure(.badConfiguration, lines: lines(issues))
        case .addressInUse(let issues), .cannotListen(let issues):
            return StartFailure(.cannotListen, lines: lines(issues))
        case .unknownService, .unknownBackend, .conditionFailed, .shuttingDown, .notDurable, .awaitsConfirmation,
            .barsWayBack, .hasNoWayBack, .notPending, .notPermitted:
            // None of these can come of replacing everything at the start, where nothing is written and nobody asks.
            return StartFailure(.fault, "the configuration was not applied: \(refusal)")
        }
    }

    private func lines(_ issues: [ConfigurationIssue]) -> [String] {
        file.map { $0.error(issues).lines } ?? issues.map { "\($0.pointer): \($0.detail)" }
    }
}
