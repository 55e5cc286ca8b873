// What differs between two configurations, in lines and in steps; that the steps lead there is shown by
// Tests/SystemTests/test_preview.py, which applies them.

import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct ConfigurationDiffTests {
    private func service(_ name: String, _ backends: [String] = []) -> ServiceConfiguration {
        ServiceConfiguration(
            name: name, address: "127.0.0.1:80",
            backends: backends.map { BackendConfiguration(name: $0, address: "10.0.0.1:80") }
        )
    }

    private func paths(_ diff: ConfigurationDiff) -> [String] {
        diff.steps.map { step in
            switch step.action {
            case .add: "+\(step.path)"
            case .replace: "=\(step.path)"
            case .remove: "-\(step.path)"
            }
        }
    }

    @Test func nothingDiffersFromItself() {
        let all = [service("a", ["x", "y"]), service("b")]
        #expect(ConfigurationDiff(from: all, to: all).isEmpty)
        #expect(ConfigurationDiff(from: all, to: all).lines.isEmpty)
    }

    @Test func placesAreThoseAfterTheStepsBefore() {
        let diff = ConfigurationDiff(
            from: [service("a"), service("b"), service("d")], to: [service("b"), service("c"), service("e")]
        )
        #expect(paths(diff) == ["-/0", "+/1", "-/2", "+/2"])
        #expect(diff.lines.map { $0.prefix(11) } == ["- service a", "+ service c", "- service d", "+ service e"])
    }

    @Test(arguments: [
        (["a", "b", "c"], ["b", "d"], ["-/0/backends/0", "+/0/backends/1", "-/0/backends/2"]),
        (["a", "b"], ["b", "a"], ["=/0/backends"]),
        (["a", "b"], ["x", "b", "a"], ["=/0/backends"]),
        ([], ["a"], ["+/0/backends/0"]),
        (["a"], [], ["-/0/backends/0"]),
    ])
    func backendsKeepTheirPlacesOrComeAsAList(_ old: [String], _ new: [String], _ expected: [String]) {
        let diff = ConfigurationDiff(from: [service("s", old)], to: [service("s", new)])
        #expect(paths(diff) == expected || Set(paths(diff)) == Set(expected), "\(paths(diff))")
    }

    @Test func fieldsComeAndGoWithTheirDefaults() {
        var changed = service("s")
        changed.fall = 3
        changed.connectionsMax = 5
        let there = ConfigurationDiff(from: [service("s")], to: [changed])
        #expect(paths(there) == ["=/0/fall", "+/0/max_connections"])
        #expect(there.lines == ["~ service s: fall: 2 -> 3", "~ service s: max_connections: 0 -> 5"])
        #expect(paths(ConfigurationDiff(from: [changed], to: [service("s")])) == ["=/0/fall", "-/0/max_connections"])
    }

    @Test func longValuesAreCutOff() {
        var changed = service("s")
        changed.allow = (0..<200).map { "10.0.\($0).0/24" }
        let diff = ConfigurationDiff(from: [service("s")], to: [changed])
        #expect(diff.lines.count == 1)
        #expect(diff.lines[0].count < 200 && diff.lines[0].contains("characters)"), "\(diff.lines[0])")
    }

    @Test func compactTextIsTheSameText() {
        let text = "{\n  \"a b\": [\n    1,\n    \"x \\\" y\"\n  ]\n}"
        #expect(String(decoding: JSONText.compact(Array(text.utf8)), as: UTF8.self) == #"{"a b":[1,"x \" y"]}"#)
    }
}
