// Owns what a person reads when this machine cannot run rings: cause, evidence and remedy for every errno and fact.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct RingDiagnosisTests {
    private static let facts = MachineFacts(
        kernelRelease: "6.8.0-45-generic",
        ioUringDisabled: 0,
        seccompMode: 0,
        lockedMemoryLimit: nil
    )

    private static func text(_ code: Int32, rings: Int = 4, _ change: (inout MachineFacts) -> Void = { _ in }) -> String
    {
        var facts = facts
        change(&facts)
        return RingDiagnosis(code: code, ringCount: rings, facts: facts).text
    }

    static let codes: [(Int32, String)] = [
        (EPERM, "EPERM"), (EACCES, "EACCES"), (ENOSYS, "ENOSYS"), (ENOMEM, "ENOMEM"), (EMFILE, "EMFILE"),
        (ENFILE, "ENFILE"), (EINVAL, "EINVAL"), (EBUSY, ""),
    ]

    /// Whatever the errno: its number and name, the kernel, and something to do.
    @Test(arguments: codes)
    func everyErrnoHasARemedy(code: Int32, symbol: String) {
        let text = RingDiagnosisTests.text(code)
        #expect(text.contains("errno \(code) (") && text.contains(symbol))
        #expect(text.contains(String(cString: strerror(code))))
        #expect(text.contains("Kernel 6.8.0-45-generic."))
        #expect(text.contains("Remedy: "))
    }

    @Test(arguments: codes)
    func anOldKernelExplainsEverything(code: Int32, symbol: String) {
        let text = RingDiagnosisTests.text(code) { $0.kernelRelease = "5.15.0-100-generic" }
        #expect(text.contains("too old: shuttle needs Linux 6.1"))
        #expect(text.contains("5.15.0-100-generic"))
    }

    @Test(arguments: [EPERM, EACCES])
    func theSysctlForbids(code: Int32) {
        let nobody = RingDiagnosisTests.text(code) { $0.ioUringDisabled = 2 }
        #expect(nobody.contains("kernel.io_uring_disabled is 2: nobody"))
        #expect(nobody.contains("sysctl -w kernel.io_uring_disabled=0"))
        let group = RingDiagnosisTests.text(code) { $0.ioUringDisabled = 1 }
        #expect(group.contains("kernel.io_uring_disabled is 1") && group.contains("kernel.io_uring_group"))
        #expect(group.contains("CAP_SYS_ADMIN"))
        for text in [nobody, group] { #expect(!text.contains("seccomp"), "the cause is known") }
    }

    @Test(arguments: [0, nil] as [Int?])
    func seccompForbids(sysctl: Int?) {
        let filtered = RingDiagnosisTests.text(EPERM) {
            $0.ioUringDisabled = sysctl
            $0.seccompMode = 2
        }
        #expect(filtered.contains("a seccomp filter is active (Seccomp: 2 in /proc/self/status)"))
        #expect(filtered.contains("Docker") && filtered.contains("--security-opt seccomp="))
        let unfiltered = RingDiagnosisTests.text(EPERM) {
            $0.ioUringDisabled = sysctl
            $0.seccompMode = nil
        }
        #expect(!unfiltered.contains("is active") && unfiltered.contains("security module or sandbox"))
    }

    @Test func lockedMemory() {
        let limited = RingDiagnosisTests.text(ENOMEM, rings: 16) { $0.lockedMemoryLimit = 65_536 }
        #expect(limited.contains("limited to 64 KiB (RLIMIT_MEMLOCK)") && limited.contains("16 of them"))
        #expect(limited.contains("LimitMEMLOCK=infinity") && limited.contains("-rings"))
        #expect(RingDiagnosisTests.text(ENOMEM).contains("limited to unlimited"))
    }

    @Test func otherCauses() {
        #expect(RingDiagnosisTests.text(ENOSYS).contains("CONFIG_IO_URING=y"))
        #expect(RingDiagnosisTests.text(EMFILE).contains("LimitNOFILE="))
        #expect(RingDiagnosisTests.text(EINVAL).contains("Linux 6.1"))
        #expect(RingDiagnosisTests.text(EBUSY).contains("io_uring_setup(2)"))
    }

    // MARK: The kernel's version

    static let releases: [(String, Bool)] = [
        ("6.1.0", false), ("6.1.0-18-amd64", false), ("6.1-rc3", false), ("6.18.44", false), ("6.10.1", false),
        ("7.0.0", false), ("10.0", false), ("6.0.19", true), ("5.19.0-46-generic", true), ("5.4.0", true),
        ("4.18.0-553.el8_10.x86_64", true), ("2.6.32", true), ("6.0", true),
        // What cannot be read is not blamed.
        ("unknown", false), ("", false), ("6", false), ("a.b.c", false), ("6.x.1", false),
    ]

    @Test(arguments: releases)
    func oldKernels(release: String, isTooOld: Bool) {
        var facts = RingDiagnosisTests.facts
        facts.kernelRelease = release
        #expect(facts.isKernelTooOld == isTooOld)
    }

    /// The facts of this machine can be read, and they are not those of a machine that is too old for these tests.
    @Test func factsAreGathered() {
        let facts = MachineFacts.gather()
        #expect(facts.kernelRelease.contains(".") && !facts.isKernelTooOld)
        #expect([nil, 0, 1, 2].contains(facts.ioUringDisabled))
        #expect([nil, 0, 1, 2].contains(facts.seccompMode))
    }

    // MARK: Capabilities

    @Test func capabilitiesAreToldForEach() {
        let newest = RingDiagnosisTests.newest
        #expect(newest.lines.count == 5 && RingCapabilities.minimum.lines.count == 5)
        #expect(newest.lines[0].contains("multishot with a byte limit") && newest.lines[1].contains("ring message"))
        #expect(RingCapabilities.minimum.lines[0].contains("one at a time"))
        #expect(RingCapabilities.minimum.lines[1].contains("eventfd"))
        // Splicing is as old as the minimum.
        #expect(newest.hasSplice && RingCapabilities.minimum.hasSplice)
        let common = Set(newest.lines).intersection(RingCapabilities.minimum.lines)
        #expect(common == ["bulk: spliced"])
    }

    /// Each can be switched off by itself; in a process of its own, since the environment belongs to all threads.
    @Test func capabilitiesCanBeSwitchedOff() async {
        await #expect(processExitsWith: .success) {
            let newest = RingDiagnosisTests.newest
            unsetenv(RingCapabilities.disablingVariable)
            precondition(newest.withoutDisabledFeatures() == newest)
            let names = ["receive-limit", "ring-message", "bundles", "minimum-wait", "splice"]
            for (value, missing) in [
                ("receive-limit", [0]), ("ring-message", [1]), ("bundles", [2]), ("minimum-wait", [3]), ("splice", [4]),
                ("receive-limit,ring-message", [0, 1]), (names.joined(separator: ","), [0, 1, 2, 3, 4]),
                ("something-else", []), ("", []),
            ] {
                setenv(RingCapabilities.disablingVariable, value, 1)
                let left = newest.withoutDisabledFeatures()
                let features = [
                    left.hasReceiveLimit, left.hasMessageWithoutRing, left.hasBundles, left.hasMinimumWait,
                    left.hasSplice,
                ]
                for index in names.indices { precondition(features[index] != missing.contains(index)) }
                let least = RingCapabilities.minimum.withoutDisabledFeatures()
                precondition(!least.hasReceiveLimit && !least.hasBundles && least.hasSplice == left.hasSplice)
            }
        }
    }

    private static var newest: RingCapabilities {
        RingCapabilities(
            hasReceiveLimit: true,
            hasMessageWithoutRing: true,
            hasBundles: true,
            hasMinimumWait: true,
            hasSplice: true
        )
    }
}
