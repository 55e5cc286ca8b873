// Owns SIGHUP: reading the default configuration again, where that is the configuration.
// Leaves to others: applying it (ControlPlane), which takes it whole or not at all.

import Logging

struct ConfigurationReload: Sendable {
    let control: ControlPlane
    let thread: FileThread
    /// Files as the flags name them.
    let configPath: String?
    let statePath: String?
    let logger: Logger

    /// Replaces the live configuration with what the file says now, changes made over HTTP included. A file that cannot
    /// be used changes nothing.
    func run() async {
        if let statePath {
            logger.warning(
                "SIGHUP ignored: the state file is the configuration; change it over HTTP",
                metadata: ["state": "\(statePath)"]
            )
            return
        }
        guard let configPath else {
            logger.warning("SIGHUP ignored: there is no -config file to read again")
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
            await apply(file)
        case .failure(let error)?:
            refuse(error)
        case nil:
            // The thread is gone: the process ends.
            return
        }
    }

    private func apply(_ file: ConfigurationFile) async {
        let origin = ChangeOrigin(peer: file.path, request: "SIGHUP", pointerPrefix: file.servicesPointer)
        do throws(ChangeRefusal) {
            let services = try await control.apply(.replaceAll(file.services), origin: origin)
            logger.info("configuration reloaded", metadata: ["file": "\(file.path)", "services": "\(services.count)"])
        } catch {
            switch error {
            case .invalid(let issues), .addressInUse(let issues), .cannotListen(let issues):
                refuse(file.error(issues))
            case .shuttingDown:
                logger.warning("SIGHUP ignored: shutting down")
            case .unknownService, .unknownBackend, .notDurable:
                logger.error("configuration not reloaded", metadata: ["reason": "\(error)"])
            }
        }
    }

    private func refuse(_ error: ConfigurationFileError) {
        for line in error.lines {
            logger.error("configuration not reloaded, nothing has changed", metadata: ["problem": "\(line)"])
        }
    }
}
