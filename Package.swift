// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "shuttle",
    targets: [
        .systemLibrary(name: "CURing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .target(name: "ShuttleEngine", dependencies: ["CURing"], swiftSettings: swiftSettings),
        .testTarget(name: "ShuttleEngineTests", dependencies: ["ShuttleEngine"], swiftSettings: swiftSettings),
    ]
)

// scripts/simulate builds the engine alone: it must not wait for the control plane and its packages.
if let names = Context.environment["SHUTTLE_ONLY_TARGETS"]?.split(separator: " ").map(String.init) {
    package.targets.removeAll { !names.contains($0.name) }
    package.products.removeAll()
    package.dependencies.removeAll()
}
