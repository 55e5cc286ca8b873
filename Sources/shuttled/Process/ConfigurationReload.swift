// Owns reading the default configuration again, where that is the configuration: on SIGHUP, or as its file changes.
// Leaves to others: applying it (ControlPlane), which takes it whole or not at all.

import Logging

struct ConfigurationReload: Sendable {
    let control: ControlPlane
    let thread: FileThread
    /// Files as the flags name them.
    let configPath: String?
    let statePath: String?
    let logger: Logger

    /// Why it is read again: what the log and events call it.
    enum Trigger: String, Sendable {
        case signal = "SIGHUP"
        case watch = "config-watch"
    }

    /// What became of it, in events.
    private enum Outcome: String {
        case applied
        case refused
        case ignored
    }

    /// Replaces the live configuration with what the file says now, changes made over HTTP included. A file that cannot
    /// be used changes nothing.
    func run(for trigger: Trigger = .signal) async {
        if let statePath {
            logger.warning(
                "\(trigger.rawValue) ignored: the state file is the configuration; change it over HTTP",
                metadata: ["state": "\(statePath)"]
            )
            tell(.ignored, trigger, "the state file \(statePath) is the configuration; change it over HTTP")
            return
        }
        guard let configPath else {
            logger.warning("\(trigger.rawValue) ignored: there is no -config file to read again")
            tell(.ignored, trigger, "there is no -config file to read again")
            return
        }
        let read = await thread.run { () -> Result<ConfigurationFile, ConfigurationFileError> in
            do throws(ConfigurationFileError) {
                return .success(try ConfigurationFile(reading: configPath, regularOnly: true))
            } catch {
                return .failure(error)
            }
        }
        switch read {
        case .success(let file)?:
            await apply(file, trigger)
        case .failure(let error)?:
            refuse(error, trigger)
        case nil:
            // The thread is gone: the process ends.
            return
        }
    }

    private func apply(_ file: ConfigurationFile, _ trigger: Trigger) async {
        let origin = ChangeOrigin(peer: file.path, request: trigger.rawValue, pointerPrefix: file.servicesPointer)
        do throws(ChangeRefusal) {
            let services = try await control.apply(.replaceAll(file.services), origin: origin).services
            logger.info("configuration reloaded", metadata: ["file": "\(file.path)", "services": "\(services.count)"])
            tell(.applied, trigger, "services: \(services.count)")
        } catch {
            switch error {
            case .invalid(let issues), .addressInUse(let issues), .cannotListen(let issues):
                refuse(file.error(issues), trigger)
            case .shuttingDown:
                logger.warning("\(trigger.rawValue) ignored: shutting down")
                tell(.ignored, trigger, "shutting down")
            case .unknownService, .unknownBackend, .conditionFailed, .notDurable, .awaitsConfirmation, .barsWayBack,
                .hasNoWayBack, .notPending, .notPermitted:
                logger.error("configuration not reloaded", metadata: ["reason": "\(error)"])
                tell(.refused, trigger, "\(error)")
            }
        }
    }

    private func refuse(_ error: ConfigurationFileError, _ trigger: Trigger) {
        for line in error.lines {
            logger.error("configuration not reloaded, nothing has changed", metadata: ["problem": "\(line)"])
        }
        let first = error.lines.first ?? "it cannot be read"
        tell(.refused, trigger, error.lines.count > 1 ? "\(first) (\(error.lines.count) problems, see the log)" : first)
    }

    private func tell(_ outcome: Outcome, _ trigger: Trigger, _ detail: String) {
        control.events.post(
            .reload,
            [
                "trigger": .text(trigger.rawValue), "file": .text(configPath ?? ""), "outcome": .text(outcome.rawValue),
                "detail": .text(detail),
            ]
        )
    }
}
