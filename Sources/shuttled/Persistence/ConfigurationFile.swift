// Owns configurations in files: reading one, and saying what is wrong with it by path, line and column.
// Leaves to others: the form of a configuration (Configuration), and when which file is read (Shuttled).

import Glibc
import ShuttleEngine

/// A file that holds a configuration, read.
struct ConfigurationFile: Sendable {
    let path: String
    let services: [ServiceConfiguration]
    private let document: JSONDocument

    /// JSON pointer of the list of services.
    let servicesPointer: String

    /// Takes up what a file holds.
    init(path: String, bytes: [UInt8]) throws(ConfigurationFileError) {
        self.path = path
        do throws(JSONSyntaxError) {
            document = try JSONDocument(parsing: bytes)
        } catch {
            throw ConfigurationFileError(path: path, error: ConfigurationDecodingError(error))
        }
        do throws(ConfigurationDecodingError) {
            services = try ConfigurationDecoder.services(from: document)
        } catch {
            throw ConfigurationFileError(path: path, error: error)
        }
        servicesPointer = ConfigurationDecoder.servicesPointer(in: document)
    }

    /// Reads a default configuration, which has to be there. Blocks. What comes through a pipe, such as `<(command)` of
    /// a shell, can be read once; `regularOnly` is for reading again.
    init(reading path: String, regularOnly: Bool = false) throws(ConfigurationFileError) {
        let bytes: [UInt8]?
        do throws(FileFailure) {
            bytes = try FileReading.bytes(of: path, regularOnly: regularOnly)
        } catch {
            throw ConfigurationFileError(error)
        }
        guard let bytes else {
            throw ConfigurationFileError(FileFailure("open", path, code: ENOENT))
        }
        try self.init(path: path, bytes: bytes)
    }

    /// Reads a state, which may not be there yet. Blocks.
    init?(readingState path: String) throws(ConfigurationFileError) {
        let bytes: [UInt8]?
        do throws(FileFailure) {
            bytes = try StateFile.read(path)
        } catch {
            throw ConfigurationFileError(error)
        }
        guard let bytes else {
            return nil
        }
        try self.init(path: path, bytes: bytes)
    }

    /// Problems that were found after reading, with their places in this file.
    func error(_ issues: [ConfigurationIssue]) -> ConfigurationFileError {
        ConfigurationFileError(path: path, error: ConfigurationDecodingError(issues, in: document))
    }
}

/// Why a file is not a configuration that can be used.
struct ConfigurationFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// One line for each problem: `path:line:column: /pointer: what is wrong`.
    let lines: [String]

    init(_ failure: FileFailure) {
        lines = [failure.description]
    }

    init(path: String, error: ConfigurationDecodingError) {
        var lines = error.problems.map { problem in
            let place = "\(path):\(problem.position.line):\(problem.position.column)"
            let pointer = problem.issue.pointer
            return pointer.isEmpty
                ? "\(place): \(problem.issue.detail)" : "\(place): \(pointer): \(problem.issue.detail)"
        }
        if error.isTruncated {
            lines.append("\(path): only the first \(error.problems.count) problems are listed")
        }
        self.lines = lines
    }

    var description: String { lines.joined(separator: "\n") }
}
