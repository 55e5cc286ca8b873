// The files that are embedded against those that lie in the folder, and what they refer to.

import Foundation
import Testing

@testable import shuttled

@Suite struct DashboardFileTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../Sources/shuttled/Dashboard/Page").standardizedFileURL
    private static let all = [DashboardFile.page] + DashboardFile.parts

    @Test func everyFileIsEmbeddedAsItIs() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path())
        #expect(names.sorted() == Self.all.map(\.name).sorted())
        for file in Self.all {
            #expect(try Data(contentsOf: Self.folder.appending(path: file.name)) == Data(file.bytes), "\(file.name)")
        }
    }

    @Test func typesAreThoseOfTheNames() {
        let types = ["html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"]
        for file in Self.all {
            let ending = String(file.name.split(separator: ".").last ?? "")
            #expect(file.contentType.split(separator: ";").first.map(String.init) == types[ending], "\(file.name)")
        }
    }

    /// What one names is there, and nothing is from elsewhere.
    @Test func everyReferenceLeadsToAPart() throws {
        var named: Set<String> = []
        for file in Self.all {
            let text = String(decoding: file.bytes, as: UTF8.self)
            for match in text.matches(of: #/(?:src|href)="/dashboard/([^"]*)"|from "\./([^"]*)"/#) {
                let name = String(match.1 ?? match.2 ?? "")
                named.insert(name)
                #expect(DashboardFile.part(named: name) != nil, "\(file.name) names \(name)")
            }
            let elsewhere = text.matches(of: #/https?://[^"' ]*/#).map { String($0.0) }
            #expect(elsewhere.allSatisfy { $0 == "http://www.w3.org/2000/svg" }, "\(file.name): \(elsewhere)")
        }
        #expect(named == Set(DashboardFile.parts.map(\.name)), "every part is asked for")
    }

    @Test func nothingMakesMarkupOfTexts() {
        let words = [
            "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"", " onclick=\"",
        ]
        for file in Self.all {
            let text = String(decoding: file.bytes, as: UTF8.self)
            for word in words {
                #expect(!text.contains(word), "\(file.name) has \(word)")
            }
        }
    }

    @Test func versionsChangeWithTheBytes() {
        #expect(DashboardFile.version(of: []) == "cbf29ce484222325")
        #expect(DashboardFile.version(of: Array("a".utf8)) == "af63dc4c8601ec8c")
        #expect(Set(Self.all.map(\.version)).count == Self.all.count)
    }
}
