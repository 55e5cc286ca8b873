// Owns a folder for one test, removed with all that is in it.

import FoundationEssentials
import Glibc
import SystemPackage
import Testing

@testable import shuttled

final class TemporaryFolder: Sendable {
    let root: String

    init() throws {
        let base = FileManager.default.temporaryDirectory.path
        var template = Array("\(base)/shuttle-tests.XXXXXX".utf8CString)
        root = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
        try? FileManager.default.removeItem(atPath: root)
    }

    func path(_ name: String) -> String { "\(root)/\(name)" }

    func write(_ name: String, _ text: String) throws {
        try #require(FileManager.default.createFile(atPath: path(name), contents: Data(text.utf8)))
    }

    /// Nil when there is no such file.
    func read(_ name: String) throws -> [UInt8]? {
        FileManager.default.contents(atPath: path(name)).map { Array($0) }
    }

    func text(_ name: String) throws -> String? {
        try read(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Everything in the folder, sorted.
    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: root).sorted() }
    }

    func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: false)
    }

    func mode(_ name: String) throws -> Int {
        Int(try FilePath(path(name)).stat().permissions.rawValue)
    }
}
