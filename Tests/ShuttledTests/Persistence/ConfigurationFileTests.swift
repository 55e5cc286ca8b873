// Configurations in files: reading them, and telling where they are wrong.

import Glibc
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ConfigurationFileTests {
    private static let good = #"[{"name": "web", "address": ":80"}]"#

    @Test func aListOrAnObject() throws {
        let folder = try TemporaryFolder()
        try folder.write("list.json", Self.good)
        try folder.write("object.json", #"{"services": \#(Self.good)}"#)
        let list = try ConfigurationFile(reading: folder.path("list.json"))
        let object = try ConfigurationFile(reading: folder.path("object.json"))
        #expect(list.services.map(\.name) == ["web"])
        #expect(list.services == object.services)
        #expect(list.servicesPointer == "" && object.servicesPointer == "/services")
    }

    @Test func everyProblemHasItsPlace() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "bad.json", "[\n  {\"name\": \"web\", \"address\": \":80\",\n   \"fall\": 0, \"rise\": \"x\"}\n]\n")
        let error = #expect(throws: ConfigurationFileError.self) {
            try ConfigurationFile(reading: folder.path("bad.json"))
        }
        let lines = error?.lines ?? []
        #expect(lines.count == 2)
        #expect(lines.first?.hasPrefix("\(folder.path("bad.json")):3:4: /0/fall: ") == true, "\(lines)")
        #expect(lines.last?.hasPrefix("\(folder.path("bad.json")):3:15: /0/rise: ") == true, "\(lines)")
    }

    @Test func aTornFileIsRefusedWithLineAndReason() throws {
        let folder = try TemporaryFolder()
        try folder.write("torn.json", "[\n  {\"name\": \"we")
        let error = #expect(throws: ConfigurationFileError.self) {
            try ConfigurationFile(readingState: folder.path("torn.json"))
        }
        #expect(error?.lines.count == 1)
        #expect(error?.lines.first?.hasPrefix("\(folder.path("torn.json")):2:") == true, "\(String(describing: error))")
        #expect(try folder.text("torn.json") == "[\n  {\"name\": \"we", "it is not touched")
    }

    @Test func problemsFoundLaterHaveTheirPlaceToo() throws {
        let folder = try TemporaryFolder()
        try folder.write("file.json", "{\"services\": [\n {\"name\": \"web\", \"address\": \":80\"}]}")
        let file = try ConfigurationFile(reading: folder.path("file.json"))
        let issue = ConfigurationIssue(pointer: "\(file.servicesPointer)/0/address", detail: "is taken")
        #expect(file.error([issue]).lines == ["\(file.path):2:18: /services/0/address: is taken"])
    }

    @Test func aMissingFileIsAnErrorAndAMissingStateIsNot() throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: ConfigurationFileError.self) {
            try ConfigurationFile(reading: folder.path("none.json"))
        }
        #expect(error?.lines.first?.contains("No such file") == true)
        #expect(try ConfigurationFile(readingState: folder.path("none.json")) == nil)
        try folder.write("empty.json", "")
        #expect(try ConfigurationFile(readingState: folder.path("empty.json")) == nil)
        #expect(throws: ConfigurationFileError.self) { try ConfigurationFile(reading: folder.path("empty.json")) }
    }

    @Test func aFolderIsNoFile() throws {
        let folder = try TemporaryFolder()
        for read in [{ try ConfigurationFile(reading: $0) }, { try ConfigurationFile(readingState: $0)! }] {
            let error = #expect(throws: ConfigurationFileError.self) { try read(folder.root) }
            #expect(error?.lines.first?.contains("name a file") == true)
        }
    }

    @Test func aDefaultMayComeThroughAPipe() throws {
        // As a shell makes one for `-config <(command)`.
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        #expect(FileCalls.system.write(writer, Array(Self.good.utf8)) == 0)
        close(writer)
        #expect(try ConfigurationFile(reading: "/dev/fd/\(reader)").services.map(\.name) == ["web"])
        close(reader)
    }

    @Test func moreThanAConfigurationCanBeIsNotRead() throws {
        let folder = try TemporaryFolder()
        try folder.write("file", String(repeating: "x", count: 10_000))
        #expect(try FileReading.bytes(of: folder.path("file"), sizeMax: 10_000)?.count == 10_000)
        let failure = #expect(throws: FileFailure.self) {
            try FileReading.bytes(of: folder.path("file"), sizeMax: 9_999)
        }
        #expect(failure?.code == EFBIG)
        #expect(throws: FileFailure.self) { try FileReading.bytes(of: "/dev/zero", sizeMax: 100_000) }
    }
}
