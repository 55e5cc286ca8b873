// Owns `-check`: whether the files can be used and this machine can run shuttled, in words.
// Leaves to others: the rules (Configuration, Control) and what the engine finds out.

import ShuttleEngine

/// What `-check` found: everything, not just the first thing. It neither locks nor writes anything, so that it can be
/// run beside a shuttled that is at work with the same files.
struct MachineCheck: Sendable {
    /// What there is to say, in order.
    private(set) var lines: [String] = []
    private(set) var isGood = true

    /// Of the machine and of what this process is, told last.
    private var machine: [String] = []

    init() {}

    /// Creates the rings, as a start would, lets go of them again, and becomes the user of -user: the files are looked at as
    /// who will read them. On the only thread that there is.
    init(ringCount: Int, user: String?, group: String?) throws(StartFailure) {
        let change = try StartFailure.of { () throws(IdentityRefusal) in
            try Identity.forbidNewPrivileges()
            return try IdentityChange(user: user, group: group, being: .ofThisThread())
        }
        checkMachine(ringCount: ringCount)
        try StartFailure.of { () throws(IdentityRefusal) in try change?.make() }
        machine += Privileges.ofThisThread().lines
    }

    /// Tells what was found before the files were looked at.
    mutating func addMachine() {
        lines += machine
    }

    private mutating func problem(_ text: String) {
        isGood = false
        lines += text.split(separator: "\n").map(String.init)
    }

    /// What a start puts up with: it leaves the backend, or its checks, out until the name resolves.
    private mutating func warn(_ text: String) {
        lines += text.split(separator: "\n").map { "\($0) (a warning: a start leaves it out until its name resolves)" }
    }

    /// Reads both files, and looks whether the one that would be loaded goes together with this machine's addresses.
    /// Blocks.
    mutating func checkFiles(config: String?, state: String?, lookup: @escaping NameLookup) async {
        var effective: ConfigurationFile?
        if let config {
            do throws(ConfigurationFileError) {
                let file = try ConfigurationFile(reading: config)
                lines.append("\(config): a valid configuration, services: \(file.services.count)")
                effective = file
            } catch {
                problem(error.description)
            }
        }
        if let state {
            do throws(ConfigurationFileError) {
                if let file = try ConfigurationFile(readingState: state) {
                    lines.append("\(state): a valid state, services: \(file.services.count); it wins over -config")
                    effective = file
                } else {
                    lines.append("\(state): no state yet; the default configuration is loaded")
                }
            } catch {
                problem(error.description)
                effective = nil
            }
        }
        if let effective {
            await checkAddresses(effective, lookup)
        }
    }

    /// Reads the file of tokens. Blocks.
    mutating func checkTokens(_ path: String, onUnixSocket: Bool) {
        do throws(TokenFileError) {
            lines.append("\(path): valid tokens: \(try TokenFile.read(path, onUnixSocket: onUnixSocket).summary)")
        } catch {
            for line in error.lines {
                problem(line)
            }
        }
    }

    private mutating func checkAddresses(_ file: ConfigurationFile, _ lookup: @escaping NameLookup) async {
        do throws(ChangeRefusal) {
            let next = try NextConfiguration(
                applying: .replaceAll(file.services), prefix: file.servicesPointer, to: []
            )
            let resolved = try await AddressResolver(lookup: lookup).resolve(
                next, live: [:], toleratesSilence: true
            ) { _ in nil }
            if !resolved.tolerated.isEmpty {
                warn(file.error(resolved.tolerated).description)
            }
            let conflicts =
                ListenConflicts.issues(in: resolved.services, of: next)
                + SourceConflicts.issues(in: resolved.services, of: next, live: [:])
            if !conflicts.isEmpty {
                problem(file.error(conflicts).description)
            }
        } catch {
            guard case .invalid(let issues) = error else {
                problem("\(file.path): \(error)")
                return
            }
            problem(file.error(issues).description)
        }
    }

    private mutating func checkMachine(ringCount: Int) {
        let limit = ProcessSetup.raiseDescriptorLimit()
        machine.append("open files: limit \(limit.before), raised to \(limit.after)")
        do throws(EngineUnavailable) {
            machine += try Engine(options: Engine.Options(ringCount: ringCount)).report.lines
        } catch {
            isGood = false
            machine += error.description.split(separator: "\n").map(String.init)
        }
    }
}
